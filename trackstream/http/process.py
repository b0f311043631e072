"""One process of the collector: from its settings and a socket to the end of its last request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from trackstream.http.backing import Backing
from trackstream.http.collector import add_routes, problems
from trackstream.http.listening import ABORT_S, Listening, end, holds
from trackstream.http.shortcuts import SHORTCUTS
from trackstream.http.tls import Certificate

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from trackstream.http.shared_metrics import SharedMetrics
    from trackstream.settings import Settings

__all__ = ["run_process", "stop_on_signals"]

_log = logging.getLogger(__name__)

_PATIENCE_S = 3.0


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def run_process(
    settings: Settings,
    listener: socket.socket,
    *,
    stop: asyncio.Event,
    shared: SharedMetrics | None = None,
    on_listening: Callable[[], None] = lambda: None,
) -> None:
    """Serve on the bound socket until `stop`; then finish what has begun and disconnect.

    Listens once Kafka and PostgreSQL have answered, so that several processes on a port do not
    refuse what others could take. After some seconds it listens anyway: then `/health/ready` says
    what is missing, and requests are answered 503, or spooled if it is only Kafka.

    Raises:
        SettingsError: its certificate cannot be used.
        StorageError: something is set up so that only an operator can help.
    """
    certificate = Certificate.of(settings)
    backing = Backing(settings)
    parts = backing.parts(stopping=stop.is_set, gather=shared.gather if shared else None)
    metrics = parts.metrics
    application = web.Application(middlewares=[problems(metrics.refused, parts.guard)])
    add_routes(application, parts)
    runner = web.AppRunner(application, shutdown_timeout=ABORT_S)
    refresh = partial(backing.show, metrics)
    writing = asyncio.create_task(shared.keep_writing(metrics, refresh)) if shared else None
    renewing = asyncio.create_task(certificate.keep_fresh()) if certificate else None
    try:
        await runner.setup()
        await backing.start()
        await holds(
            lambda: stop.is_set() or backing.connected or backing.hopeless.done(), _PATIENCE_S
        )
        door = Listening(
            _server_of(runner),
            settings,
            refused=metrics.refused,
            shortcuts=application[SHORTCUTS],
        )
        await door.start(listener, certificate.context if certificate else None)
        on_listening()
        await _first(stop, backing.hopeless)
        await end(door, parts.traffic, settings)
    finally:
        await runner.cleanup()
        await backing.stop()
        if renewing is not None:
            renewing.cancel()
        if writing is not None and shared is not None:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing
            refresh()
            shared.write(metrics)


def _server_of(runner: web.AppRunner) -> web.Server:
    if runner.server is None:
        raise RuntimeError("the runner is set up")
    return runner.server


async def _first(stop: asyncio.Event, hopeless: asyncio.Future[None]) -> None:
    """Wait for the event; raise what the future raises, if that comes first."""
    waiting = asyncio.ensure_future(stop.wait())
    either: set[asyncio.Future[Any]] = {waiting, hopeless}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if hopeless.done():
        stop.set()
        hopeless.result()
