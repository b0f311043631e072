"""An ad network on loopback: remembers what it is told, and answers as it is told to."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["Received", "Receiver", "receiving"]


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    at_s: float


@dataclass
class Receiver:
    """What was received, in order; `answer` decides what is said to it."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], Awaitable[web.Response]] | None = None
    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """What the next requests are answered with; then 200."""
    at_once: int = 0
    most_at_once: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            one = Received(
                method=request.method,
                path=request.path_qs,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await request.text(),
                at_s=asyncio.get_running_loop().time(),
            )
            self.received.append(one)
            if self.answer is not None:
                return await self.answer(one)
            status, headers = self.statuses.pop(0) if self.statuses else (200, {})
            return web.Response(status=status, headers=headers, text="no thanks")
        finally:
            self.at_once -= 1

    def counted(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(one.path for one in self.received)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port of 127.0.0.1."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", receiver.handle)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
