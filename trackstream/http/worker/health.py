"""`/health/live`, `/health/ready` and `/metrics` of a worker."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from faust import App

__all__ = ["is_ready", "routes"]


def is_ready(app: App) -> bool:
    """Whether the worker has its partitions, their tables are recovered, and it goes on at work."""
    return bool(
        not app.should_stop
        and app.tables.actives_ready
        and not app.rebalancing
        and not app.in_recovery
        and app.flow_control.is_active()
    )


def routes(app: App, metrics: Callable[[], str]) -> list[web.RouteDef]:
    """Health is JSON, metrics are Prometheus' text format."""

    async def live(_request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(_request: web.Request) -> web.Response:
        if is_ready(app):
            return web.json_response({"status": "ready"})
        why = "tables are being recovered" if app.in_recovery else "partitions are being assigned"
        why = "stopping" if app.should_stop else why
        return web.json_response({"status": "not ready", "detail": why}, status=503)

    async def measured(_request: web.Request) -> web.Response:
        return web.Response(
            text=metrics() + "\n".join(_lag(app)) + "\n",
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    return [
        web.get("/health/live", live),
        web.get("/health/ready", ready),
        web.get("/metrics", measured),
    ]


def _lag(app: App) -> list[str]:
    """The source partitions that this worker owns, and how far it is behind in each."""
    own, lag = "trackstream_partitions", "trackstream_lag_messages"
    owned = sorted(
        tp for tp in app.assignor.assigned_actives() if tp.topic not in app.tables.changelog_topics
    )
    lines = [f"# HELP {own} Partitions that this worker owns", f"# TYPE {own} gauge"]
    counts = Counter(tp.topic for tp in owned)
    lines += [f'{own}{{topic="{topic}"}} {count}' for topic, count in counts.items()]
    lines += [f"# HELP {lag} Messages not yet committed", f"# TYPE {lag} gauge"]
    ends, committed = app.monitor.tp_end_offsets, app.monitor.tp_committed_offsets
    for tp in owned:
        if tp in ends:
            behind = max(0, ends[tp] - committed.get(tp, 0))
            lines.append(f'{lag}{{topic="{tp.topic}",partition="{tp.partition}"}} {behind}')
    return lines
