"""The collector inside the worker's web server, where one process is to be all (`worker_collects`).

The worker's own routes go first; everything else is the collector's. For development and small
installations: both share one process, and there is no TLS.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.web_urldispatcher import AbstractRuleMatching, MatchedSubAppResource

from trackstream.http import operations
from trackstream.http.backing import Backing
from trackstream.http.collector import add_routes, problems
from trackstream.http.listening import end
from trackstream.http.worker.serving import WorkerWeb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp.web_urldispatcher import _InfoDict

    from trackstream.http.steps import Parts
    from trackstream.settings import Settings

__all__ = ["CollectingWeb", "mount_collector"]

_WORKERS = frozenset(
    {"apps", "campaigns", "collector", "funnels", "health", "live", "metrics", "tables"}
)


class CollectingWeb(WorkerWeb):
    """The worker's web server with the collector in it, which ends as a collector does."""

    _parts: Parts | None = None

    async def start_server(self) -> None:
        """Mount the collector, now that there is an event loop, and listen."""
        self._parts = mount_collector(
            self.web_app, self._settings, stopping=lambda: self.app.should_stop
        )
        await super().start_server()

    async def stop_server(self) -> None:
        """Answer what was begun, with 503 at the latest, and disconnect."""
        if self._parts is not None and self.door is not None:
            await end(self.door, self._parts.traffic, self._settings)
        await super().stop_server()


class _NotTheWorkers(AbstractRuleMatching):
    """Every path that is none of the worker's own."""

    async def match(self, request: web.Request) -> bool:
        # `*`, an authority or an absolute URL without a path (RFC 9112, section 3.2) has no part
        return "".join(request.path.split("/", 2)[1:2]) not in _WORKERS

    def get_info(self) -> _InfoDict:
        return {"domain": self.canonical}

    @property
    def canonical(self) -> str:
        return "*"


def mount_collector(
    application: web.Application, settings: Settings, *, stopping: Callable[[], bool]
) -> Parts:
    """Add the collector; its connections live as long as the web server.

    Its metrics are at `/collector/metrics`, its readiness at `/collector/ready`.

    Args:
        application: the worker's.
        settings: as for a collector of its own.
        stopping: whether the worker is about to end: then it is not ready.

    Raises:
        StorageError: The settings cannot be used.
    """
    backing = Backing(settings)
    parts = backing.parts(stopping=stopping)
    collector = web.Application(middlewares=[problems(parts.metrics.refused, parts.guard)])
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
    return parts
