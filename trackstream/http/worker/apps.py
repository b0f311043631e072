"""Apps live: their windows of 30 minutes, added up over the partitions of all workers."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from yarl import URL

from tables.app_activity import RETENTION_MS, windows_since
from tables.counters import plus, rows_here
from trackstream.core.activity import HOP_MS, WINDOW_MS, AppActivity, in_window
from trackstream.http.worker.peers import ROUTED
from trackstream.http.worker.state import problem

if TYPE_CHECKING:
    from tables import Tables
    from tables.base import StateTable
    from trackstream.http.worker.peers import Peers

__all__ = ["routes"]

_DEFAULT_WINDOWS = 12
_MOST_WINDOWS = RETENTION_MS // HOP_MS
_PARTIAL = URL("/apps/partial")
_COUNTS = (
    "active_subjects",
    "converting_subjects",
    "events",
    "conversions",
    "sessions_started",
)


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """One partition's row."""

    app_id: str
    begin_ms: int
    activity: AppActivity


def routes(tables: Tables, peers: Peers) -> list[web.RouteDef]:
    """One app, and one worker's part of all."""
    table = tables.app_activity

    async def one_app(request: web.Request) -> web.Response:
        windows = _windows(request)
        if windows is None:
            return problem(422, f"windows takes a whole number from 1 to {_MOST_WINDOWS}")
        said, silent = await peers.everyone(_PARTIAL.with_query(windows=windows))
        theirs = [one for answer in said for one in msgspec.convert(answer, list[_Part])]
        rows: defaultdict[int, AppActivity] = defaultdict(AppActivity)
        for part in _own_parts(table, windows) + theirs:
            if part.app_id == request.match_info["app_id"]:
                rows[part.begin_ms] = plus(rows[part.begin_ms], part.activity)
        first_ms, last_ms = _span(windows)
        return web.json_response(
            {
                "app_id": request.match_info["app_id"],
                "now_ms": _now_ms(),
                "windows": [
                    _shown(begin_ms, in_window(rows, begin_ms))
                    for begin_ms in range(first_ms, last_ms + 1, HOP_MS)
                ],
                "silent": silent,
            }
        )

    async def partial(request: web.Request) -> web.Response:
        if ROUTED not in request.headers:
            return problem(403, "for other workers; ask /apps/{app_id}/live")
        parts = _own_parts(table, _windows(request) or _DEFAULT_WINDOWS)
        return web.Response(body=msgspec.json.encode(parts), content_type="application/json")

    return [web.get("/apps/partial", partial), web.get("/apps/{app_id}/live", one_app)]


def _own_parts(table: StateTable[AppActivity], windows: int) -> list[_Part]:
    first_ms, _ = _span(windows)
    rows = rows_here(table, lambda partition: windows_since(table, partition, first_ms))
    return [_Part(row.app_id, row.begin_ms, row.activity) for row in rows]


def _span(windows: int) -> tuple[int, int]:
    """Where the first and the last of the newest windows begin; the newest ones still go on."""
    last_ms = _now_ms() // HOP_MS * HOP_MS
    return last_ms - (windows - 1) * HOP_MS, last_ms


def _shown(begin_ms: int, activity: AppActivity) -> dict[str, Any]:
    counts = {name: getattr(activity, name) for name in _COUNTS}
    return {
        "begin_ms": begin_ms,
        "end_ms": begin_ms + WINDOW_MS,
        **counts,
        "conversion_rate": round(activity.conversion_rate, 6),
    }


def _windows(request: web.Request) -> int | None:
    try:
        windows = int(request.query.get("windows", _DEFAULT_WINDOWS))
    except ValueError:
        return None
    return windows if 1 <= windows <= _MOST_WINDOWS else None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
