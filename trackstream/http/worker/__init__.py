"""The worker's web views: tables by key, campaigns, apps and funnels live, health, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.http.worker import apps, funnels, health, live, state
from trackstream.http.worker.peers import Peers

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.web import Application
    from faust import App

    from tables import Tables
    from trackstream.ports import FunnelsBook

__all__ = ["mount"]


def mount(
    web: Application,
    *,
    app: App,
    tables: Tables,
    funnels_book: FunnelsBook,
    metrics: Callable[[], str],
) -> None:
    """Add the routes.

    Args:
        web: The web server's application.
        app: The Faust app, for its readiness and the addresses of the other workers.
        tables: What is shown.
        funnels_book: The steps of funnels.
        metrics: The worker's own metrics, as text.
    """
    peers = Peers(app)
    web.add_routes(health.routes(app, metrics))
    web.add_routes(state.routes(tables, peers))
    web.add_routes(live.routes(tables, peers))
    web.add_routes(apps.routes(tables, peers))
    web.add_routes(funnels.routes(tables, peers, funnels_book))
