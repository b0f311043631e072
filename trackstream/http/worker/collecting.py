"""The collector inside the worker's web server, where one process is to be all (`worker_collects`).

The worker's own routes go first; everything else is the collector's.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.web_urldispatcher import AbstractRuleMatching, MatchedSubAppResource
from faust.web.drivers import aiohttp as driver

from trackstream.http import operations
from trackstream.http.backing import Backing
from trackstream.http.collector import add_routes, problems
from trackstream.http.spool_metrics import show_spool
from trackstream.http.steps import Parts, clock_ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.web_urldispatcher import _InfoDict
    from faust.types import AppT

    from trackstream.http.metrics import Metrics
    from trackstream.settings import Settings

__all__ = ["CollectingWeb", "mount_collector"]

_WORKERS = frozenset(
    {"apps", "campaigns", "collector", "funnels", "health", "live", "metrics", "tables"}
)
_MAX_LINE_BYTES = 32 * 1024


class CollectingWeb(driver.Web):
    """Faust's web server with the collector in it.

    Bodies are left compressed: the collector inflates them, with a bound.
    """

    def __init__(self, app: AppT, settings: Settings) -> None:
        super().__init__(app)
        self._settings = settings
        self._runner = web.AppRunner(
            self.web_app,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=settings.idle_timeout_s,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
        )

    async def start_server(self) -> None:
        """Mount the collector, now that there is an event loop, and listen."""
        mount_collector(self.web_app, self._settings)
        await super().start_server()


class _NotTheWorkers(AbstractRuleMatching):
    """Every path that is none of the worker's own."""

    async def match(self, request: web.Request) -> bool:
        return request.path.split("/", 2)[1] not in _WORKERS

    def get_info(self) -> _InfoDict:
        return {"domain": self.canonical}

    @property
    def canonical(self) -> str:
        return "*"


def mount_collector(application: web.Application, settings: Settings) -> None:
    """Add the collector; its connections live as long as the web server.

    Its metrics are at `/collector/metrics`, its readiness at `/collector/ready`.

    Raises:
        StorageError: The settings cannot be used.
    """
    backing = Backing(settings)

    def gather(own: Metrics) -> Metrics:
        if backing.spool is not None:
            show_spool(own, backing.spool.state, now_ms=clock_ms())
        return own

    parts = Parts(
        settings=settings,
        directory=backing.directory,
        sink=backing.sink,
        cache=backing.cache,
        user_agents=backing.user_agents,
        geo=backing.geo,
        explain=backing.explain,
        guard=backing.guard,
        missing=backing.missing,
        gather=gather,
    )
    collector = web.Application(middlewares=[problems(parts.metrics.refused)])
    add_routes(collector, parts)

    async def ready(_: web.Request) -> web.Response:
        return operations.ready(parts)

    async def metrics(_: web.Request) -> web.Response:
        return operations.metrics(parts)

    async def connected(_: web.Application) -> AsyncIterator[None]:
        await backing.start()
        yield
        await backing.stop()

    collector.cleanup_ctx.append(connected)
    application.router.add_get("/collector/ready", ready)
    application.router.add_get("/collector/metrics", metrics)
    # as `add_domain` does, which would take the worker's own paths, too
    application._add_subapp(  # noqa: SLF001 - see above
        partial(MatchedSubAppResource, _NotTheWorkers(), collector), collector
    )
