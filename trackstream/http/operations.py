"""Health and metrics, for whoever operates the collector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from trackstream.http.metrics import render

if TYPE_CHECKING:
    from trackstream.http.steps import Parts

__all__ = ["live", "metrics", "ready"]


def _json(value: Any, status: int) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(value),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def live() -> web.Response:
    """200 as long as the process answers at all."""
    return _json({"status": "live"}, 200)


def ready(parts: Parts) -> web.Response:
    """200 when requests can be served, else 503 with what is missing."""
    missing = parts.missing()
    if missing:
        return _json({"status": "not ready", "missing": missing}, 503)
    return _json({"status": "ready", "missing": []}, 200)


def metrics(parts: Parts) -> web.Response:
    """The counters of all processes of this collector."""
    text = render(parts.gather(parts.metrics))
    return web.Response(
        body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    )
