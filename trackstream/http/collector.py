"""The collector's aiohttp application: routes, and what they depend on.

Stand-alone, as a sub-application, or its routes inside another application (`add_routes`). Whatever
serves it should be made with `auto_decompress=False` (`aiohttp.web.AppRunner`): a signature is over
the body as sent, which cannot be known once the server has inflated it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, web

import schemas
from trackstream.http import operations, steps
from trackstream.http.clicks import touch_handler
from trackstream.http.cors import preflight, show_to_origin
from trackstream.http.explaining import explain_handler
from trackstream.http.guard import Guard, guarded
from trackstream.http.ids import new_id as new_uuid
from trackstream.http.ingest import DIALECTS, Kind
from trackstream.http.openapi.views import description_routes
from trackstream.http.operators import for_operators
from trackstream.http.posts import always, post_handler
from trackstream.http.problems import Refusal, no_route, problem_response, settled, unexpected
from trackstream.http.registry import registry_routes
from trackstream.http.segment import segment_handlers
from trackstream.http.segment_settings import metrics_handler, settings_handler
from trackstream.http.shortcuts import SHORTCUTS, Shortcuts
from trackstream.http.steps import Parts, counted, no_database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Middleware

    from trackstream.http.metrics import Metrics
    from trackstream.http.steps import Explain
    from trackstream.ports import Directory, GeoLookup, Sink, TouchCache, UserAgentLookup
    from trackstream.settings import Settings

    Handler = Callable[[web.Request], Awaitable[web.Response]]

__all__ = ["add_routes", "create_collector", "nothing_missing", "problems"]

_OPEN = frozenset({"health", "metrics", "schemas"})
"""What operators and consumers ask for: neither limited nor blocked here."""
_KINDS: tuple[Kind, ...] = ("event", "install")


def nothing_missing() -> list[str]:
    """The readiness of a collector that has all it needs."""
    return []


def create_collector(
    *,
    settings: Settings,
    directory: Directory,
    sink: Sink,
    cache: TouchCache,
    user_agents: UserAgentLookup,
    clock_ms: Callable[[], int] = steps.clock_ms,
    new_id: Callable[[], str] = new_uuid,
    missing: Callable[[], list[str]] = nothing_missing,
    gather: Callable[[Metrics], Metrics] = lambda own: own,
    explain: Explain = no_database,
    guard: Guard | None = None,
    geo: GeoLookup | None = None,
) -> web.Application:
    """The application; the caller starts and stops what it is given.

    Args:
        settings: bounds, cookie, names of topics.
        directory: apps, keys and links.
        sink: where messages go; a 2xx is answered only after it has taken them.
        cache: used signatures and deferred deep links.
        user_agents: tells bots and operating systems.
        clock_ms: the time now.
        new_id: makes ids of events, touches and clicks.
        missing: what is not ready yet, by name; empty: ready.
        gather: adds other processes' metrics to one's own.
        explain: tells how conversions were decided.
        guard: who gets in; by the settings, for this process alone, if not given.
        geo: tells where clicks come from; they have no country without it.
    """
    parts = Parts(
        settings=settings,
        directory=directory,
        sink=sink,
        cache=cache,
        user_agents=user_agents,
        clock_ms=clock_ms,
        new_id=new_id,
        missing=missing,
        gather=gather,
        explain=explain,
        guard=guard or Guard(settings),
        geo=geo,
    )
    application = web.Application(middlewares=[problems(parts.metrics.refused, parts.guard)])
    add_routes(application, parts)
    return application


def add_routes(application: web.Application, parts: Parts) -> None:
    """Add every route of the collector to an application, which may have others.

    The paths of clicks and events are also in its `SHORTCUTS`, for servers that look there first.
    """

    async def live(_: web.Request) -> web.Response:
        return operations.live()

    async def ready(_: web.Request) -> web.Response:
        return operations.ready(parts)

    async def metrics(_: web.Request) -> web.Response:
        return operations.metrics(parts)

    routes = _Routes(application, parts)
    get, post = routes.get, routes.post
    for kind in _KINDS:
        post(f"/v1/{kind}", kind, post_handler(kind, parts, dialect=always(DIALECTS[kind])))
    for path, route, handler in segment_handlers(parts):
        post(path, route, handler)
    post("/v1/m", "library_metrics", metrics_handler(parts))
    get("/v1/projects/{write_key}/settings", "library_settings", settings_handler(parts))
    click = touch_handler("click", parts)
    for path in ("/v1/click", "/c/{slug}"):
        get(path, "click", click, shortcut=True)
    get("/v1/impression", "impression", touch_handler("impression", parts), shortcut=True)
    get("/v1/attributions/{id}/explain", "explain", explain_handler(parts))
    get("/health/live", "health", live)
    get("/health/ready", "health", ready)
    get("/metrics", "metrics", for_operators(metrics, parts))
    registry = registry_routes(schemas.load(), topic_prefix=parts.settings.topic_prefix)
    for path, handler in [*registry, *description_routes(parts.version)]:
        get(path, "schemas", handler)


class _Routes:
    """Adds handlers to an application, counted and guarded."""

    def __init__(self, application: web.Application, parts: Parts) -> None:
        self._router = application.router
        self._shortcuts = application[SHORTCUTS] = Shortcuts()
        self._parts = parts

    def get(self, path: str, route: str, handler: Handler, *, shortcut: bool = False) -> None:
        parts = self._parts
        counting = counted(route, handler if route in _OPEN else guarded(handler, parts), parts)
        self._router.add_get(path, counting, expect_handler=_expected)
        if shortcut:
            self._shortcuts.add("GET", path, counting)

    def post(self, path: str, route: str, handler: Handler) -> None:
        parts = self._parts
        counting = counted(route, guarded(handler, parts), parts)
        self._router.add_post(path, counting, expect_handler=_expected)
        self._shortcuts.add("POST", path, counting)
        asking = counted("preflight", guarded(self._preflight, parts), parts)
        self._router.add_route("OPTIONS", path, asking, expect_handler=_expected)

    async def _preflight(self, request: web.Request) -> web.Response:
        return preflight(request, self._parts.directory)


async def _expected(request: web.Request) -> web.Response | None:
    """Answer `Expect` (RFC 9110, section 10.1.1). aiohttp's own fails on one that is not UTF-8."""
    if request.version < HttpVersion11:
        return None
    if request.headers["Expect"].lower() != "100-continue":
        return problem_response(unexpected())
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # Else it would count as if it were the answer's.
    request.writer.output_size = 0
    return None


def problems(refused: Callable[[str, int], None], guard: Guard | None = None) -> Middleware:
    """A middleware that answers unknown paths and methods with problem documents, too.

    Args:
        refused: counts them, by reason and status.
        guard: says who may ask for them, and how often.
    """

    @web.middleware
    async def answer(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            refusal = None if guard is None else await _kept_out(request, guard)
            refusal = refusal or no_route(error)
            response = problem_response(refusal)
            refused(refusal.reason, response.status)
            show_to_origin(request, response)
            return response

    return answer


async def _kept_out(request: web.Request, guard: Guard) -> Refusal | None:
    seen = guard.seen(request)
    return seen if isinstance(seen, Refusal) else await settled(guard.admit(seen))
