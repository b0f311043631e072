"""The servers that the stage "collector" compares, each a process of its own.

`python -m benchmarks.collector_server bare` is aiohttp's hello and nothing else, `ours` is the
collector as it is served. The log of the latter is in memory: what Kafka's producer costs is
measured in the stage "pipeline". It prints its port, then for each line that it reads the CPU
seconds that it has used; it ends with its input.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import TYPE_CHECKING

import uvloop
from aiohttp import web

from trackstream.core.rules import DEFAULT, Rules
from trackstream.http.collector import create_collector
from trackstream.http.listening import Listening
from trackstream.http.metrics import Metrics
from trackstream.http.shortcuts import SHORTCUTS
from trackstream.ports import App, Key, TrackingLink
from trackstream.settings import Settings
from trackstream.storage.cache import RedisTouchCache
from trackstream.storage.user_agents import UaParser

if TYPE_CHECKING:
    from aiohttp.web_runner import BaseRunner

__all__ = ["KEY", "LINK"]

KEY = Key(key_id="k", app_id="bench", kind="write", secret=None)
LINK = TrackingLink(
    link_id="l", slug="s", app_id="bench", campaign_id="c", web_url="https://shop.example/"
)


class _Directory:
    def key(self, key_id: str) -> Key | None:
        return KEY if key_id == KEY.key_id else None

    def app(self, app_id: str) -> App | None:
        return App(app_id=app_id, name=app_id)

    def link_by_slug(self, slug: str) -> TrackingLink | None:
        return LINK if slug == LINK.slug else None

    def links_by_campaign(self, campaign_id: str) -> tuple[TrackingLink, ...]:
        return (LINK,) if campaign_id == LINK.campaign_id else ()

    def rules(self, app_id: str, *, at_ms: int) -> Rules:  # noqa: ARG002 - the port's
        return DEFAULT


class _Sink:
    async def send(self, messages: list[tuple[str, bytes, bytes]]) -> None:
        """Take them as acknowledged."""


async def _bare(listener: socket.socket) -> BaseRunner:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    application = web.Application()
    application.router.add_get("/hello", hello)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return runner


async def _ours(listener: socket.socket) -> BaseRunner:
    # the same click again and again counts, and has a cookie to be known by
    settings = Settings(click_repeat_ms=0, cookie_consent="assumed")
    application = create_collector(
        settings=settings,
        directory=_Directory(),
        sink=_Sink(),
        cache=RedisTouchCache(None),
        user_agents=UaParser(),
    )
    runner = web.AppRunner(application)
    await runner.setup()
    if runner.server is None:
        raise RuntimeError("the runner is set up")
    door = Listening(
        runner.server,
        settings,
        refused=Metrics().refused,
        shortcuts=application[SHORTCUTS],
    )
    await door.start(listener)
    return runner


async def _serve(which: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    runner = await (_bare if which == "bare" else _ours)(listener)
    over = asyncio.Event()

    def asked() -> None:
        if sys.stdin.readline():
            print(time.process_time(), flush=True)
        else:
            over.set()

    print(listener.getsockname()[1], flush=True)
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), asked)
    await over.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
