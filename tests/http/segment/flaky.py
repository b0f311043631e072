"""A proxy in front of the collector that answers the first posts as a collector in need would."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterable

LOST = "lost"
"""The collector takes the events, and its answer does not arrive."""


class Flaky:
    """Answers the first posts by `plan`, and hands everything else on.

    Attributes:
        twice: ids of messages that the collector was given although the library heard otherwise.
        statuses: what was answered, in order.
        done: ids of messages that the library was told are taken.
    """

    def __init__(self, collector_url: str, plan: Iterable[int | str] = (503, 429, LOST)) -> None:
        self._collector_url = collector_url
        self._plan = list(plan)
        self.twice: Counter[str] = Counter()
        self.statuses: list[int] = []
        self.done: set[str] = set()
        self._told = asyncio.Event()
        application = web.Application(client_max_size=2**22)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._server = TestServer(application)

    async def __aenter__(self) -> Self:
        await self._server.start_server(auto_decompress=False)
        self._session = ClientSession(self._collector_url, auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._server.close()

    @property
    def url(self) -> str:
        return str(self._server.make_url("")).rstrip("/")

    async def told(self, messages: int, timeout_s: float = PATIENCE_S) -> None:
        """Return when the library has been told of so many messages that they are taken."""
        async with asyncio.timeout(timeout_s):
            while len(self.done) < messages:
                self._told.clear()
                await self._told.wait()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        now: int | str = 0
        if request.method == "POST" and self._plan:
            now = self._plan.pop(0)
        response = await self._forwarded(request, body) if isinstance(now, str) or not now else None
        if now:
            if response is not None:
                assert response.status == 200
                self.twice.update(message_ids(request, body))
            response = self._need(request, 503 if isinstance(now, str) else now)
        assert response is not None
        if request.method == "POST":
            self.statuses.append(response.status)
            if response.status == 200:
                self.done.update(message_ids(request, body))
                self._told.set()
        return response

    @staticmethod
    def _need(request: web.Request, status: int) -> web.Response:
        """As `problems.problem_response` answers, but sooner to be asked again."""
        response = web.json_response({"code": "x", "message": "x"}, status=status)
        response.headers["Retry-After"] = "1"
        origin = request.headers.get("Origin")
        if origin:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        return response

    async def _forwarded(self, request: web.Request, body: bytes) -> web.Response:
        async with self._session.request(
            request.method, request.raw_path, data=body, headers=request.headers
        ) as answer:
            dropped = {"Content-Length", "Transfer-Encoding", "Date", "Server"}
            headers = {name: one for name, one in answer.headers.items() if name not in dropped}
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)


def message_ids(request: web.Request, body: bytes) -> list[str]:
    """The ids of the messages in a body."""
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    document: dict[str, Any] = json.loads(body)
    return [one["messageId"] for one in document.get("batch", [document])]
