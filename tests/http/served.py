"""The collector as a process of its own, and what tests do to one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
import psutil

from tests.waiting import PATIENCE_S
from trackstream.core.signing import signed_headers
from trackstream.storage.database import make_engine
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackstream.ports import Key
    from trackstream.settings import Settings


def registered_key(settings: Settings, kind: str = "server") -> Key:
    """A key of an app that has a link, in a migrated database."""
    migrate(settings.postgres_url)
    engine = make_engine(settings.postgres_url)
    registry = Registry(engine, MasterKey.load(settings))
    registry.create_app("shop")
    registry.create_link(
        app_id="shop",
        campaign_id="cmp001",
        campaign="Sale",
        channel="paid",
        web_url="https://shop.example/",
        android_url="https://play.google.com/store/apps/details?id=a.b",
        deep_link="shop://sale",
        slug="sale",
    )
    made = registry.create_key("shop", kind)
    engine.dispose()
    return made


@contextmanager
def running(settings: Settings, workers: int = 1) -> Iterator[psutil.Process]:
    """The collector as a process of its own."""
    code = (
        "import logging, sys; from trackstream.settings import Settings;"
        "from trackstream.http.server import serve;"
        "logging.basicConfig(level='INFO');"
        "serve(Settings.load(), workers=int(sys.argv[1]))"
    )
    kept = {name: one for name, one in os.environ.items() if not name.startswith("TRACKSTREAM_")}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(workers)], env={**kept, **settings.environ()}
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def until_ready(session: aiohttp.ClientSession, *, status: int = 200) -> list[str]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            async with session.get("/health/ready") as response:
                if response.status == status:
                    return list((await response.json())["missing"])
        except aiohttp.ClientConnectionError:
            pass
        await asyncio.sleep(0.05)
    raise TimeoutError(f"/health/ready did not answer {status}")


def client_of(settings: Settings) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(f"http://127.0.0.1:{settings.collector_port}")


async def post(session: aiohttp.ClientSession, key: Key, path: str, body: bytes) -> int:
    headers = signed_headers(
        key.key_id,
        key.secret or "",
        method="POST",
        path=path,
        body=body,
        now_s=int(time.time()),
        nonce=os.urandom(8).hex(),
    )
    headers["Content-Type"] = "application/json"
    async with session.post(path, data=body, headers=headers) as response:
        await response.read()
        return response.status


def event(user: str) -> bytes:
    return f'{{"event":"view","user_id":"{user}","timestamp":{time.time()}}}'.encode()
