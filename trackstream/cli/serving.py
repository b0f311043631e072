"""Programs that run until they are told to stop, and log to standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from trackstream.settings import Settings

__all__ = ["Serve", "log_to_stderr", "serve_until_told"]


class Serve(Protocol):
    """What serves until `stop` is set, and calls `on_ready` once."""

    async def __call__(
        self, settings: Settings, *, stop: asyncio.Event, on_ready: Callable[[], None]
    ) -> None:
        """Serve."""


def serve_until_told(serve: Serve, settings: Settings, *, ready: str) -> None:
    """Run it until SIGINT or SIGTERM; print the line when it is ready."""
    import asyncio

    log_to_stderr(settings.log_level)
    asyncio.run(_serve(serve, settings, ready))


async def _serve(serve: Serve, settings: Settings, ready: str) -> None:
    import asyncio
    import signal

    import click

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop=stop, on_ready=lambda: click.echo(ready))


def log_to_stderr(level: str) -> None:
    """Log what is at least of this level."""
    import logging

    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # It tells of each step of each rebalance.
    if level == "info":
        logging.getLogger("aiokafka").setLevel(logging.WARNING)
