"""The listening socket, and the life of the broker from start to signal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import sys
from typing import TYPE_CHECKING

from trackstream.embedded.broker.broker import Broker
from trackstream.embedded.broker.connection import Connection
from trackstream.embedded.broker.errors import BrokerStartError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.embedded.broker.settings import BrokerSettings

log = logging.getLogger(__name__)

_DRAIN_S = 2.0


class Server:
    """A broker that listens."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.broker = Broker(settings)
        self._connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None

    async def start(self) -> int:
        """Recover, listen, and return the port.

        Raises:
            BrokerStartError: the data directory or the address cannot be used.
        """
        settings = self.broker.settings
        self.broker.open()
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(
                lambda: Connection(self.broker, self._connections), settings.host, settings.port
            )
        except OSError as error:
            await self.broker.close()
            raise BrokerStartError(
                f"cannot listen on {settings.host}:{settings.port}: {error}"
            ) from error
        self.broker.start()
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Take no more requests, answer those that wait, sync and close everything."""
        if self._listener is not None:
            self._listener.close()
        self.broker.stopping.set()
        for partition in self.broker.topics.partitions():
            partition.wake()
        await asyncio.sleep(0)
        for connection in list(self._connections):
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await asyncio.gather(*(item.closed.wait() for item in self._connections))
        await self.broker.close()


async def serve(settings: BrokerSettings, on_ready: Callable[[int], None]) -> None:
    """Serve until SIGINT or SIGTERM; `on_ready` is told the port."""
    _allow_many_files()
    # Compaction computes in a thread: requests shall not wait long for their turn.
    sys.setswitchinterval(0.001)
    server = Server(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    port = await server.start()
    on_ready(port)
    await stop.wait()
    log.info("stopping")
    await server.stop()


def _allow_many_files() -> None:
    """Raise the limit of open files as far as we may: each partition holds one open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
