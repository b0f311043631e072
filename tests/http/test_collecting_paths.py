"""Which paths are the collector's where it shares the worker's port."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.web_urldispatcher import MatchedSubAppResource

from tests.http.doors import told
from trackstream.http.collector import problems
from trackstream.http.worker.collecting import _NotTheWorkers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def both() -> AsyncIterator[int]:
    """The port of a server that has one path of the worker's and one of the collector's."""

    async def fine(request: web.Request) -> web.Response:
        return web.Response(text=request.path)

    worker = web.Application(middlewares=[problems(lambda *_: None)])
    worker.router.add_get("/health/live", fine)
    collector = web.Application()
    collector.router.add_get("/v1/click", fine)
    worker._add_subapp(partial(MatchedSubAppResource, _NotTheWorkers(), collector), collector)
    runner = web.AppRunner(worker)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("GET /v1/click", 200),
        ("GET /health/live", 200),
        ("GET /", 404),
        ("GET //", 404),
        ("OPTIONS *", 404),
        ("CONNECT a:1", 404),
        ("GET http://h", 404),
    ],
)
async def test_every_path_has_an_answer_also_one_that_is_none(asked: str, status: int) -> None:
    async with both() as port:
        request = f"{asked} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        answer = await asyncio.wait_for(told(port, request.encode()), 60)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status, answer
    assert status == 200 or json.loads(body)["reason"] == "unknown_route"
