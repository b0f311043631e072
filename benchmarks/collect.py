"""Stage "collector": how many events the collector takes over HTTP and has Kafka acknowledge.

The collector is its own process, with a broker, PostgreSQL and Valkey behind it; the client is
this process, on the same cores. Every event is new: the bodies are made before the clock starts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import msgspec
import psutil

from benchmarks.embedded import embedded
from benchmarks.measured import StageResult
from trackstream.embedded.process import free_port
from trackstream.settings import PREFIX, Settings
from trackstream.storage.database import make_engine
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey
from trackstream.storage.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["collecting", "prepare", "run"]

_CONNECTIONS = 16
_USERS = 2_000
_START_S = 30.0
_AGENT = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Mobile Safari/537.36"
)


def run(argv: list[str]) -> list[StageResult]:
    """Measure with the batch sizes that are asked for, and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.pipeline collector", description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--batch", type=int, action="append")
    options = parser.parse_args(argv)
    results = []
    with embedded(redis=True) as settings:
        write_key = prepare(settings)
        for batch in options.batch or [20, 1]:
            # One at a time costs a request each: fewer of them show as much.
            events = max(batch, options.events // (1 if batch > 1 else 4))
            result = _measure(settings, write_key, batch=batch, events=events)
            results.append(result)
            print(result, flush=True)
    return results


def prepare(settings: Settings) -> str:
    """Make what the collector needs; a write key of an app."""
    migrate(settings.postgres_url)
    asyncio.run(ensure_topics(settings))
    engine = make_engine(settings.postgres_url)
    try:
        registry = Registry(engine, MasterKey.load(settings))
        registry.create_app("bench")
        return registry.create_key("bench", "write").key_id
    finally:
        engine.dispose()


@contextmanager
def collecting(settings: Settings) -> Iterator[tuple[int, int]]:
    """The collector as a process of its own, ready: its port and its process id."""
    settings = replace(settings, collector_port=free_port())
    environ = {key: one for key, one in os.environ.items() if not key.startswith(PREFIX)}
    with subprocess.Popen(
        [sys.executable, "-m", "trackstream", "collect"],
        env={**environ, **settings.environ()},
        stdout=subprocess.DEVNULL,
    ) as collector:
        try:
            asyncio.run(_ready(_url(settings.collector_port)))
            yield settings.collector_port, collector.pid
        finally:
            collector.terminate()
            collector.wait(20)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _measure(settings: Settings, write_key: str, *, batch: int, events: int) -> StageResult:
    with collecting(settings) as (port, pid):
        return asyncio.run(_load(_url(port), pid, write_key, batch=batch, events=events))


async def _load(url: str, pid: int, write_key: str, *, batch: int, events: int) -> StageResult:
    bodies = [_body(number, batch) for number in range(events // batch)]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": _AGENT,
        "X-Trackstream-Write-Key": write_key,
    }
    process = psutil.Process(pid)
    async with aiohttp.ClientSession(headers=headers) as session:
        # Connections and caches are made before the clock starts.
        warm = min(len(bodies) // 10, 200)
        await _post_all(session, f"{url}/v1/batch", bodies[:warm])
        before, began_s = process.cpu_times(), time.perf_counter()
        await _post_all(session, f"{url}/v1/batch", bodies[warm:])
        took_s, after = time.perf_counter() - began_s, process.cpu_times()
    count = (len(bodies) - warm) * batch
    cpu_s = after.user + after.system - before.user - before.system
    return StageResult(
        stage="collector",
        events=count,
        batch=batch,
        events_per_s=count / took_s,
        cpu_us_per_event=cpu_s / count * 1e6,
    )


def _body(number: int, batch: int) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    device = f"device-{number % _USERS}"
    return msgspec.json.encode(
        {
            "sent_at": now_ms,
            "events": [
                {
                    "event": "add_to_cart",
                    "event_id": f"{number}-{batch}-{one}",
                    "device_id": device,
                    "timestamp": now_ms,
                    "properties": {"product_id": "p123", "price": 49.99},
                    "context": {"app": {"version": "1.2.3"}, "locale": "de-DE"},
                }
                for one in range(batch)
            ],
        }
    )


async def _ready(url: str) -> None:
    deadline = time.monotonic() + _START_S
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/health/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass  # it does not listen yet
            if time.monotonic() > deadline:
                raise TimeoutError("the collector is not ready")
            await asyncio.sleep(0.1)


async def _post_all(session: aiohttp.ClientSession, url: str, bodies: list[bytes]) -> None:
    left = iter(bodies)

    async def post() -> None:
        for body in left:
            async with session.post(url, data=body) as response:
                if response.status != 201:
                    raise RuntimeError(f"{response.status}: {await response.text()}")

    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(post())
