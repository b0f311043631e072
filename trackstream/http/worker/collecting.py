"""The collector inside the worker's web server, where one process is to be all (`worker_collects`).

The worker's own routes go first; everything else is the collector's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from faust.web.drivers import aiohttp as driver

from trackstream.http.backing import Backing
from trackstream.http.collector import create_collector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from faust.types import AppT

    from trackstream.settings import Settings

__all__ = ["CollectingWeb", "mount_collector"]

_MAX_LINE_BYTES = 32 * 1024


class CollectingWeb(driver.Web):
    """Faust's web server, leaving bodies compressed: the collector inflates them, with a bound."""

    def __init__(self, app: AppT) -> None:
        super().__init__(app)
        self._runner = web.AppRunner(
            self.web_app,
            access_log=None,
            auto_decompress=False,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
        )


def mount_collector(application: web.Application, settings: Settings) -> None:
    """Add the collector; its connections live as long as the web server.

    Raises:
        StorageError: The settings cannot be used.
    """
    backing = Backing(settings)
    collector = create_collector(
        settings=settings,
        directory=backing.directory,
        sink=backing.sink,
        cache=backing.cache,
        user_agents=backing.user_agents,
        missing=backing.missing,
    )

    async def connected(_: web.Application) -> AsyncIterator[None]:
        await backing.start()
        yield
        await backing.stop()

    collector.cleanup_ctx.append(connected)
    application.add_domain("*", collector)
