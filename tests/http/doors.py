"""The door of a collector, in the process of the test."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.http.service import Service
from tests.waiting import PATIENCE_S
from trackstream.http.listening import Listening
from trackstream.http.shortcuts import SHORTCUTS
from trackstream.settings import Settings

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from trackstream.storage.user_agents import UaParser


@asynccontextmanager
async def door(
    user_agents: UaParser,
    *,
    tls: ssl.SSLContext | None = None,
    refused: Callable[[str, int], None] = lambda *_: None,
    **settings: Any,
) -> AsyncIterator[int]:
    """The port of an open door, whose connections have room for few bytes to send."""
    service = Service(user_agents, **settings)
    runner = web.AppRunner(service.application, auto_decompress=False)
    await runner.setup()
    assert runner.server is not None
    opened = Listening(
        runner.server,
        Settings(**settings),
        refused=refused,
        shortcuts=service.application[SHORTCUTS],
    )
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    port = int(listener.getsockname()[1])
    await opened.start(listener, tls)
    try:
        yield port
    finally:
        opened.stop()
        await runner.cleanup()
        await service.stop()


async def told(port: int, request: bytes, *, tls: ssl.SSLContext | None = None) -> bytes:
    """What is answered until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(request)
    async with asyncio.timeout(PATIENCE_S):
        answer = await reader.read()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return answer
