"""Taking connections with TLS: one that only shakes hands is a connection, too.

asyncio's own server tells of a connection only after its handshake, for which it waits a minute: as
many as there are file descriptors could be held by saying nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

__all__ = ["Handshakes"]

_log = logging.getLogger(__name__)

_PAUSE_S = 1.0
"""After the system gave no connection, such as for want of file descriptors."""


class Handshakes:
    """What takes the connections of a listening socket through their handshakes.

    Args:
        listener: where they come; closed at the end.
        tls: with what hands are shaken.
        timeout_s: how long that may take.
        protocol: says who serves the next connection; None: nobody, it is closed at once.
    """

    def __init__(
        self,
        listener: socket.socket,
        tls: ssl.SSLContext,
        *,
        timeout_s: float,
        protocol: Callable[[], asyncio.Protocol | None],
    ) -> None:
        self._listener = listener
        self._tls = tls
        self._timeout_s = timeout_s
        self._protocol = protocol
        self._taking: asyncio.Task[None] | None = None
        self._shaking: set[asyncio.Task[None]] = set()
        self._under_way: Counter[type[asyncio.Protocol]] = Counter()

    def start(self, backlog: int) -> None:
        """Take connections from now on."""
        self._listener.setblocking(False)
        self._listener.listen(backlog)
        self._taking = asyncio.create_task(self._take())
        # not before: the event loop still watches it
        self._taking.add_done_callback(lambda _: self._listener.close())

    def stop(self) -> None:
        """Take no more; handshakes that are under way go on."""
        if self._taking is not None:
            self._taking.cancel()

    def under_way(self, kind: type[asyncio.Protocol]) -> int:
        """Connections that shake hands yet and are for this kind of protocol."""
        return self._under_way[kind]

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except ConnectionAbortedError:
                continue
            except OSError:
                _log.exception("no connection can be taken for %s s", _PAUSE_S)
                await asyncio.sleep(_PAUSE_S)
                continue
            protocol = self._protocol()
            if protocol is None:
                connection.close()
            else:
                task = asyncio.create_task(self._shake(connection, protocol))
                self._shaking.add(task)
                task.add_done_callback(self._shaking.discard)
            await asyncio.sleep(0)  # where one is waiting, accepting does not let others run

    async def _shake(self, connection: socket.socket, protocol: asyncio.Protocol) -> None:
        kind = type(protocol)
        self._under_way[kind] += 1
        try:
            with suppress(OSError):  # anyone can send what is no TLS, or nothing: not logged
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: protocol,
                    connection,
                    ssl=self._tls,
                    ssl_handshake_timeout=self._timeout_s,
                )
        finally:
            self._under_way[kind] -= 1
