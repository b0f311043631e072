"""Campaigns live: counts by minute, added up over the partitions of all workers."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from yarl import URL

from tables.campaign_activity import MINUTE_MS, RETENTION_MS, Activity, rows_since
from tables.counters import plus, rows_here
from trackstream.http.worker.live_page import PAGE
from trackstream.http.worker.peers import ROUTED
from trackstream.http.worker.state import problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tables import Tables
    from tables.base import StateTable
    from trackstream.http.worker.peers import Peers

__all__ = ["routes"]

_DEFAULT_MINUTES = 60
_MOST_MINUTES = RETENTION_MS // MINUTE_MS
_PARTIAL = URL("/campaigns/partial")
_COUNTS = ("clicks", "impressions", "installs", "conversions")

Campaign = tuple[str, str]
"""App and campaign id; the empty id is what belongs to no campaign."""


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """One worker's count of one campaign in one minute."""

    app_id: str
    campaign_id: str
    minute_ms: int
    activity: Activity


def routes(tables: Tables, peers: Peers) -> list[web.RouteDef]:
    """One campaign, all campaigns, one worker's part of them, and the page that shows them."""
    table = tables.campaign_activity

    async def one_campaign(request: web.Request) -> web.Response:
        campaign_id, app_id = request.match_info["campaign_id"], request.query.get("app_id")
        minutes = _minutes(request)
        if minutes is None:
            return problem(422, f"minutes takes a whole number from 1 to {_MOST_MINUTES}")
        parts, silent = await _all_parts(table, peers, minutes)
        mine = _by_minute(
            part
            for part in parts
            if part.campaign_id == campaign_id and app_id in {None, part.app_id}
        )
        return web.json_response({"campaign_id": campaign_id, **_shown(mine), "silent": silent})

    async def every_campaign(request: web.Request) -> web.Response:
        minutes = _minutes(request)
        if minutes is None:
            return problem(422, f"minutes takes a whole number from 1 to {_MOST_MINUTES}")
        parts, silent = await _all_parts(table, peers, minutes)
        asked_app = request.query.get("app_id")
        campaigns = [
            {"app_id": app_id, "campaign_id": campaign_id, **_shown(rows)}
            for (app_id, campaign_id), rows in sorted(_by_campaign(parts).items())
            if asked_app in {None, app_id}
        ]
        return web.json_response(
            {"minutes": minutes, "now_ms": _now_ms(), "campaigns": campaigns, "silent": silent}
        )

    async def partial(request: web.Request) -> web.Response:
        if ROUTED not in request.headers:
            return problem(403, "for other workers; ask /campaigns/live")
        parts = _own_parts(table, _minutes(request) or _DEFAULT_MINUTES)
        return web.Response(body=msgspec.json.encode(parts), content_type="application/json")

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    return [
        web.get("/campaigns/live", every_campaign),
        web.get("/campaigns/partial", partial),
        web.get("/campaigns/{campaign_id}/live", one_campaign),
        web.get("/live", page),
    ]


async def _all_parts(
    table: StateTable[Activity], peers: Peers, minutes: int
) -> tuple[list[_Part], list[str]]:
    """Everybody's counts, and the workers that did not answer."""
    said, silent = await peers.everyone(_PARTIAL.with_query(minutes=minutes))
    theirs = [one for answer in said for one in msgspec.convert(answer, list[_Part])]
    return _own_parts(table, minutes) + theirs, silent


def _own_parts(table: StateTable[Activity], minutes: int) -> list[_Part]:
    since = _now_ms() - (minutes - 1) * MINUTE_MS
    rows = rows_here(table, lambda partition: rows_since(table, partition, since))
    return [_Part(row.app_id, row.campaign_id, row.minute_ms, row.activity) for row in rows]


def _by_minute(parts: Iterable[_Part]) -> dict[int, Activity]:
    rows: defaultdict[int, Activity] = defaultdict(Activity)
    for part in parts:
        rows[part.minute_ms] = plus(rows[part.minute_ms], part.activity)
    return rows


def _by_campaign(parts: list[_Part]) -> dict[Campaign, dict[int, Activity]]:
    held: defaultdict[Campaign, list[_Part]] = defaultdict(list)
    for part in parts:
        held[part.app_id, part.campaign_id].append(part)
    return {campaign: _by_minute(its) for campaign, its in held.items()}


def _shown(rows: dict[int, Activity]) -> dict[str, Any]:
    total = Activity()
    for activity in rows.values():
        total = plus(total, activity)
    return {
        "total": _counts(total),
        "by_minute": [
            {"minute_ms": minute_ms, **_counts(rows[minute_ms])} for minute_ms in sorted(rows)
        ],
    }


def _counts(activity: Activity) -> dict[str, Any]:
    counts: dict[str, Any] = {name: getattr(activity, name) for name in _COUNTS}
    return {**counts, "revenue_micros": activity.revenue_micros}


def _minutes(request: web.Request) -> int | None:
    try:
        minutes = int(request.query.get("minutes", _DEFAULT_MINUTES))
    except ValueError:
        return None
    return minutes if 1 <= minutes <= _MOST_MINUTES else None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
