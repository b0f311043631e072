"""The worker's web views: tables by key, campaigns, apps and funnels live, health, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.http.worker import apps, funnels, health, live, state
from trackstream.http.worker.peers import Peers

if TYPE_CHECKING:
    from collections.abc import Callable

    from faust import App

    from tables import Tables
    from trackstream.http.worker.serving import WorkerWeb
    from trackstream.ports import FunnelsBook

__all__ = ["mount"]


def mount(
    web: WorkerWeb,
    *,
    app: App,
    tables: Tables,
    funnels_book: FunnelsBook,
    metrics: Callable[[], str],
) -> None:
    """Add the routes.

    Args:
        web: The web server.
        app: The Faust app, for its readiness and the addresses of the other workers.
        tables: What is shown.
        funnels_book: The steps of funnels.
        metrics: The worker's own metrics, as text.
    """
    peers = Peers(app, introduced=web.access.introduced)
    routes = web.web_app
    routes.add_routes(health.routes(app, lambda: metrics() + web.measured()))
    routes.add_routes(state.routes(tables, peers))
    routes.add_routes(live.routes(tables, peers))
    routes.add_routes(apps.routes(tables, peers))
    routes.add_routes(funnels.routes(tables, peers, funnels_book))
