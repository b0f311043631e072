"""Stage "collector": what a request costs one core, beside aiohttp's bare hello.

Server and client share one process and one loop: the client writes prepared bytes down a few
keep-alive connections and counts answers, so that nearly all of the time is the server's. The log
is an in-memory sink here: what Kafka's producer costs is measured elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import uvloop
from aiohttp import web

from trackstream.http.collector import create_collector
from trackstream.ports import App, Key, TrackingLink
from trackstream.settings import Settings
from trackstream.storage.cache import RedisTouchCache
from trackstream.storage.user_agents import UaParser

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Measured", "run"]

_CONNECTIONS = 8
_AGENT = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Mobile Safari/537.36"
)
_KEY = Key(key_id="k", app_id="bench", kind="write", secret=None)
_LINK = TrackingLink(
    link_id="l", slug="s", app_id="bench", campaign_id="c", web_url="https://shop.example/"
)


class _Directory:
    def key(self, key_id: str) -> Key | None:
        return _KEY if key_id == _KEY.key_id else None

    def app(self, app_id: str) -> App | None:
        return App(app_id=app_id, name=app_id)

    def link_by_slug(self, slug: str) -> TrackingLink | None:
        return _LINK if slug == _LINK.slug else None

    def link_by_campaign(self, campaign_id: str) -> TrackingLink | None:
        return _LINK if campaign_id == _LINK.campaign_id else None


class _Sink:
    async def send(self, messages: list[tuple[str, bytes, bytes]]) -> None:
        """Take them as acknowledged."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind of request."""

    name: str
    requests_per_s: float
    ratio: float
    """Of the bare hello's requests per second."""
    events_per_s: float

    def __str__(self) -> str:
        return (
            f"collector: {self.name}: {self.requests_per_s:,.0f} requests/s ({self.ratio:.2f} of "
            f"aiohttp's hello), {self.events_per_s:,.0f} events/s"
        )


def run(argv: Sequence[str] = ()) -> list[Measured]:
    """Measure each kind for some seconds and print; 10 s in all unless told otherwise."""
    parser = argparse.ArgumentParser(prog="benchmarks collector", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each kind of request")
    options = parser.parse_args(argv)
    return uvloop.run(_measure(options.seconds))


async def _measure(seconds: float) -> list[Measured]:
    now_ms = time.time_ns() // 1_000_000
    event = {
        "event": "add_to_cart",
        "user_id": "user-5678",
        "timestamp": now_ms,
        "properties": {"product_id": "p123", "price": 49.99},
    }
    kinds = [
        ("hello", _request("GET", "/hello"), 0),
        ("one event", _request("POST", "/v1/event", event), 1),
        ("batch of 20", _request("POST", "/v1/batch", {"events": [event] * 20}), 20),
        ("click", _request("GET", "/c/s?utm_source=ad&gclid=abc123"), 0),
    ]
    application = create_collector(
        settings=Settings(click_repeat_ms=0),  # the same click again and again counts
        directory=_Directory(),
        sink=_Sink(),
        cache=RedisTouchCache(None),
        user_agents=UaParser(),
    )

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    application.router.add_get("/hello", hello)
    runner = web.AppRunner(application, access_log=None, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    found: list[Measured] = []
    try:
        for name, request, events in kinds:
            await _load(port, request, seconds / 10)
            per_s = await _load(port, request, seconds)
            base = found[0].requests_per_s if found else per_s
            found.append(Measured(name, per_s, per_s / base, per_s * events))
            print(found[-1], flush=True)
    finally:
        await runner.cleanup()
    return found


def _request(method: str, path: str, document: object = None) -> bytes:
    body = b"" if document is None else msgspec.json.encode(document)
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"User-Agent: {_AGENT}",
        "Accept: */*",
    ]
    if document is not None:
        lines += [
            "Content-Type: application/json",
            f"X-Trackstream-Write-Key: {_KEY.key_id}",
            f"Content-Length: {len(body)}",
        ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Client(asyncio.Protocol):
    """Sends the same request again for every answer, until the time is over."""

    def __init__(self, request: bytes, deadline_s: float) -> None:
        self.answers = 0
        self.done = asyncio.get_running_loop().create_future()
        self._request = request
        self._deadline_s = deadline_s
        self._transport: Any = None  # uvloop's is none of asyncio's classes
        self._kept = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._kept += data
        head, blank, rest = self._kept.partition(b"\r\n\r\n")
        if not blank or len(rest) < _length(head):
            return
        if head[9:10] not in {b"2", b"3"}:
            self.done.set_exception(RuntimeError(self._kept.decode()))
            self._transport.close()
            return
        self._kept = b""
        self.answers += 1
        if time.perf_counter() < self._deadline_s:
            self._transport.write(self._request)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.done.done():
            self.done.set_result(None)


def _length(head: bytes) -> int:
    return int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or b"0")


async def _load(port: int, request: bytes, seconds: float) -> float:
    """Requests per second of CPU that this process spends, client included."""
    loop = asyncio.get_running_loop()
    deadline_s = time.perf_counter() + seconds
    started_s = time.process_time()
    clients = []
    for _ in range(_CONNECTIONS):
        _, client = await loop.create_connection(
            lambda: _Client(request, deadline_s), "127.0.0.1", port
        )
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    return sum(client.answers for client in clients) / (time.process_time() - started_s)
