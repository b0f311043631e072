"""Clients that do not read their answers."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.http.doors import door, told
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from trackstream.storage.user_agents import UaParser

ASK = b"GET /%s HTTP/1.1\r\nHost: a\r\n%s\r\n"
CLOSE = b"Connection: close\r\n"
LIVE = ASK % (b"health/live", CLOSE)


def connected(port: int) -> socket.socket:
    """A client with room for few bytes."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(ASK % (b"openapi.json", b"") * 20, id="more answers than a transport buffers"),
        pytest.param(
            ASK % (b"health/live", b"") * 150 + LIVE, id="closed with answers that are not sent"
        ),
    ],
)
async def test_who_reads_no_answers_holds_no_connection(
    user_agents: UaParser, request_bytes: bytes
) -> None:
    refusals: list[tuple[str, int]] = []

    def refused(reason: str, status: int) -> None:
        refusals.append((reason, status))

    async with door(user_agents, max_connections=3, body_timeout_s=1, refused=refused) as port:
        clients = [connected(port) for _ in range(3)]
        loop = asyncio.get_running_loop()
        for client in clients:
            await loop.sock_sendall(client, request_bytes)
        await asyncio.sleep(0.3)
        assert (await told(port, LIVE)).startswith(b"HTTP/1.1 503 ")

        async with asyncio.timeout(PATIENCE_S):
            while not (await told(port, LIVE)).startswith(b"HTTP/1.1 200 "):  # noqa: ASYNC110 - of which nobody here hears
                await asyncio.sleep(0.05)
            while refusals.count(("unread", 408)) < 3:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        assert refusals.count(("unread", 408)) == 3
        for client in clients:
            client.close()


async def test_who_reads_slowly_gets_everything(user_agents: UaParser) -> None:
    refusals: list[str] = []

    def refused(reason: str, _: int) -> None:
        refusals.append(reason)

    async with door(user_agents, body_timeout_s=1, refused=refused) as port:
        whole = len(await told(port, ASK % (b"openapi.json", CLOSE)))
        client = connected(port)
        loop = asyncio.get_running_loop()
        asks = ASK % (b"openapi.json", b"") * 4 + ASK % (b"openapi.json", CLOSE)
        await loop.sock_sendall(client, asks)
        began_s = time.monotonic()
        came = 0
        async with asyncio.timeout(PATIENCE_S):
            while part := await loop.sock_recv(client, 2048):
                came += len(part)
                await asyncio.sleep(0.008)
        client.close()
        assert time.monotonic() - began_s > 1.2
        assert came > 4.9 * whole
        assert refusals == []
