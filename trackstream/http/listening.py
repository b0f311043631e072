"""Taking connections: no more than a bound, on a socket that stops taking them at the end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from trackstream.core.reasons import Reason
from trackstream.http.answers import SERVER
from trackstream.http.connections import Connection, connection_options, expecting
from trackstream.http.descriptors import connections_for
from trackstream.http.handshakes import Handshakes
from trackstream.http.problems import Refusal, problem_response

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from aiohttp import web

    from trackstream.http.shortcuts import Shortcuts
    from trackstream.http.steps import Traffic
    from trackstream.settings import Settings

__all__ = ["ABORT_S", "Listening", "end", "holds"]

_BACKLOG = 1_024
_BUSY_S = 2.0
"""How long a connection too many may take to say what it wants."""
_MOST_BUSY = 64
"""Connections too many that are taken at a time, to be told; more are closed at once."""
_HANDSHAKE_S = 10
"""Longest time for a handshake."""
ABORT_S = 1.0
"""How long what is cancelled may take to end."""
_POLL_S = 0.02


class Listening:
    """The open door of one process.

    Args:
        server: serves connections.
        settings: bound them: those beyond `max_connections`, or beyond what the system has file
            descriptors for, are answered 503 and closed.
        refused: counts what is refused before it has a route, by reason and status.
        shortcuts: handlers that are looked for before the server's own.
    """

    def __init__(
        self,
        server: web.Server,
        settings: Settings,
        *,
        refused: Callable[[str, int], None],
        shortcuts: Shortcuts | None = None,
    ) -> None:
        server.request_handler = expecting(server.request_handler, refused, shortcuts)
        self._server = server
        self._max_connections = connections_for(settings.max_connections)
        self._coming = 0
        self._told: set[_Busy] = set()
        self._options = connection_options(settings)
        self._refused = refused
        self._idle_timeout_s = settings.idle_timeout_s
        self._listening: asyncio.Server | Handshakes | None = None

    async def start(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Take connections from now on."""
        if tls is None:
            self._listening = await asyncio.get_running_loop().create_server(
                self._to_serve, sock=listener, backlog=_BACKLOG
            )
            return
        self._listening = handshakes = Handshakes(
            listener,
            tls,
            timeout_s=min(_HANDSHAKE_S, self._idle_timeout_s),
            protocol=lambda: self._to_shake(handshakes),
        )
        handshakes.start(_BACKLOG)

    def stop(self) -> None:
        """Take no more; those that there are stay."""
        if isinstance(self._listening, Handshakes):
            self._listening.stop()
        elif self._listening is not None:
            self._listening.close()

    def _to_serve(self) -> asyncio.Protocol:
        """Who serves the next without TLS. Of many at once all come before one is connected."""
        protocol = self._connected(self._coming)
        if isinstance(protocol, Connection):
            self._coming += 1
            asyncio.get_running_loop().call_soon(self._came)
            return protocol
        if len(self._told) >= _MOST_BUSY:
            return _Closed()
        self._told.add(protocol)
        return protocol

    def _came(self) -> None:
        self._coming -= 1

    def _to_shake(self, handshakes: Handshakes) -> asyncio.Protocol | None:
        """Who serves the next; nobody if too many are about to be told so already."""
        protocol = self._connected(handshakes.under_way(Connection))
        if isinstance(protocol, Connection):
            return protocol
        told = len(self._told) + handshakes.under_way(_Busy)
        return protocol if told < _MOST_BUSY else None

    def _connected(self, under_way: int) -> Connection | _Busy:
        if len(self._server.connections) + under_way >= self._max_connections:
            self._refused(Reason.UNAVAILABLE, 503)
            return _Busy(self._told)
        return Connection(self._server, refused=self._refused, **self._options)


async def end(door: Listening, traffic: Traffic, settings: Settings) -> None:
    """Stop taking connections, and wait until what was begun is answered, with 503 at the latest.

    For `shutdown_delay_ms` requests are still taken, and connections end after them.
    """
    traffic.closing = True
    await asyncio.sleep(settings.shutdown_delay_ms / 1000)
    door.stop()
    # aiohttp's own shutdown throws away what still arrives, the rest of a body included.
    await holds(lambda: not traffic.in_flight, settings.shutdown_grace_s)
    traffic.expire()
    await holds(lambda: not traffic.in_flight, ABORT_S)


async def holds(condition: Callable[[], bool], timeout_s: float) -> None:
    """Wait until the condition holds, or until the time is over."""
    deadline_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline_s:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(_POLL_S)


class _Closed(asyncio.Protocol):
    """Ends a connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


class _Busy(asyncio.Protocol):
    """Answers a connection too many with 503, whatever it asks for.

    Args:
        told: those that are connected.
    """

    def __init__(self, told: set[_Busy]) -> None:
        self._told = told
        self._transport: asyncio.Transport | None = None
        self._ending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._told.add(self)
        self._ending = asyncio.get_running_loop().call_later(_BUSY_S, self._transport.abort)

    def data_received(self, _: bytes) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            # not before it has asked: what is closed with unread data is reset, answer and all
            transport.write(_answer())
            transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self._told.discard(self)
        if self._ending is not None:
            self._ending.cancel()


def _answer() -> bytes:
    response = problem_response(Refusal(Reason.UNAVAILABLE, "there are too many connections"))
    body = response.body if isinstance(response.body, bytes) else b""
    head = [
        f"HTTP/1.1 {response.status} Service Unavailable",
        *(f"{name}: {value}" for name, value in response.headers.items()),
        f"Content-Length: {len(body)}",
        f"Server: {SERVER}",
        "Connection: close",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
