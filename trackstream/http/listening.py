"""Taking connections: no more than a bound, on a socket that stops taking them at the end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

from aiohttp.http_exceptions import HttpProcessingError

from trackstream.core.reasons import Reason
from trackstream.http.problems import Refusal, problem_response

if TYPE_CHECKING:
    import socket
    import ssl

    from aiohttp import web

__all__ = ["CONNECTIONS_LOG", "Listening"]

_BACKLOG = 1_024
_BUSY_S = 2.0
"""How long a connection too many may take to say what it wants."""


class _NotForMalformed(logging.Filter):
    """Lets anyone send what is no HTTP, without a traceback in the log for each."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


CONNECTIONS_LOG = logging.getLogger("trackstream.http.connections")
"""Where the server logs."""
CONNECTIONS_LOG.addFilter(_NotForMalformed())


class Listening:
    """The open door of one process.

    Args:
        server: serves connections.
        max_connections: those beyond are answered 503 and closed; 0: there is no bound.
    """

    def __init__(self, server: web.Server, *, max_connections: int) -> None:
        self._server = server
        self._max_connections = max_connections
        self._listening: asyncio.Server | None = None

    async def start(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Take connections from now on."""
        self._listening = await asyncio.get_running_loop().create_server(
            self._connected, sock=listener, backlog=_BACKLOG, ssl=tls
        )

    def stop(self) -> None:
        """Take no more; those that there are stay."""
        if self._listening is not None:
            self._listening.close()

    def _connected(self) -> asyncio.Protocol:
        if self._max_connections and len(self._server.connections) >= self._max_connections:
            return _Busy()
        return self._server()


class _Busy(asyncio.Protocol):
    """Answers a connection too many with 503, whatever it asks for."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._ending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ending = asyncio.get_running_loop().call_later(_BUSY_S, transport.close)

    def data_received(self, _: bytes) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            # not before it has asked: what is closed with unread data is reset, answer and all
            transport.write(_answer())
            transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if self._ending is not None:
            self._ending.cancel()


def _answer() -> bytes:
    response = problem_response(Refusal(Reason.UNAVAILABLE, "there are too many connections"))
    body = response.body if isinstance(response.body, bytes) else b""
    head = [
        f"HTTP/1.1 {response.status} Service Unavailable",
        *(f"{name}: {value}" for name, value in response.headers.items()),
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
