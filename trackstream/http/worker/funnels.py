"""Funnels live: how many have come to each step, added up over the partitions of all workers."""

from __future__ import annotations

import re
import time
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from yarl import URL

from tables.counters import rows_here, sum_of
from tables.funnel_activity import is_kept, rows_of
from trackstream.core.funnel_progress import KEPT_DAYS, FunnelCounts, FunnelDay
from trackstream.core.funnels import shares
from trackstream.core.rules import DAY_MS
from trackstream.http.worker.peers import ROUTED
from trackstream.http.worker.state import problem

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from tables import Tables
    from tables.base import StateTable
    from trackstream.core.live_funnels import LiveFunnel
    from trackstream.http.worker.peers import Peers
    from trackstream.ports import FunnelsBook

__all__ = ["routes"]

_PARTIAL = URL("/funnels/partial")
_FIRST = date(1970, 1, 1)
_DAY = re.compile(r"[0-9]{1,6}")


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """One partition's count of one funnel's day."""

    app_id: str
    place: FunnelDay
    counts: FunnelCounts


def routes(tables: Tables, peers: Peers, book: FunnelsBook) -> list[web.RouteDef]:
    """One funnel, all funnels, and one worker's part of them."""
    table = tables.funnel_activity

    async def shown(day: int, funnels: list[tuple[str, LiveFunnel]]) -> dict[str, Any]:
        said, silent = await peers.everyone(_PARTIAL.with_query(day=day))
        parts = _own_parts(table, day)
        for answer in said:
            parts += msgspec.convert(answer, list[_Part], str_keys=True)
        return {
            "day": (_FIRST + timedelta(days=day)).isoformat(),
            "now_ms": _now_ms(),
            "funnels": [_shown(one, day, app_id, parts) for app_id, one in funnels],
            "silent": silent,
        }

    async def every_funnel(request: web.Request) -> web.Response:
        app_id, day = request.query.get("app_id"), _day(request)
        funnels = [
            (one, live)
            for one in ([app_id] if app_id else book.apps())
            for live in book.current(one, at_ms=_now_ms()).by_name.values()
        ]
        return web.json_response(await shown(day, funnels))

    async def one_funnel(request: web.Request) -> web.Response:
        name, app_id, day = request.match_info["name"], request.query.get("app_id"), _day(request)
        if not app_id:
            raise _RefusedError("app_id takes the app whose funnel it is")
        funnel = book.current(app_id, at_ms=_now_ms()).by_name.get(name)
        if funnel is None:
            return problem(404, f"{app_id} has no funnel {name} that counts by now")
        document = await shown(day, [(app_id, funnel)])
        [one] = document.pop("funnels")
        return web.json_response(one | document)

    async def partial(request: web.Request) -> web.Response:
        day = request.query.get("day", "")
        if ROUTED not in request.headers or not _DAY.fullmatch(day):
            return problem(403, "for other workers; ask /funnels/{name}/live")
        parts = _own_parts(table, int(day))
        return web.Response(body=msgspec.json.encode(parts), content_type="application/json")

    return [
        web.get("/funnels/live", _checked(every_funnel)),
        web.get("/funnels/partial", partial),
        web.get("/funnels/{name}/live", _checked(one_funnel)),
    ]


def _own_parts(table: StateTable[FunnelCounts], day: int) -> list[_Part]:
    rows = rows_here(table, lambda partition: rows_of(table, partition, day))
    return [_Part(row.app_id, row.place, row.counts) for row in rows]


def _shown(live: LiveFunnel, day: int, app_id: str, parts: list[_Part]) -> dict[str, Any]:
    funnel = live.funnel
    place = FunnelDay(funnel.name, live.since_ms, day)
    mine = [one.counts for one in parts if (one.app_id, one.place) == (app_id, place)]
    total = sum_of(FunnelCounts, mine).counts
    counts = [total.get(step, 0) for step in range(1, len(funnel.steps) + 1)]
    return {
        "app_id": app_id,
        "funnel": funnel.name,
        "by": funnel.by,
        "within_ms": funnel.within_ms,
        "since_ms": live.since_ms,
        "steps": [
            {
                "step": number,
                "event": list(step.events),
                "count": one.count,
                "of_previous": one.of_previous,
                "of_first": one.of_first,
            }
            for number, (step, one) in enumerate(
                zip(funnel.steps, shares(counts, [None] * len(counts)), strict=True), 1
            )
        ],
    }


class _RefusedError(ValueError):
    """The query says nothing that can be shown."""


def _checked(view: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await view(request)
        except _RefusedError as error:
            return problem(422, str(error))

    return answer


def _day(request: web.Request) -> int:
    """Its number since 1970."""
    given, now_ms = request.query.get("day"), _now_ms()
    if given is None:
        return now_ms // DAY_MS
    try:
        day = (date.fromisoformat(given) - _FIRST).days
    except ValueError as error:
        raise _RefusedError("day takes a day in UTC, such as 2025-07-10") from error
    if not is_kept(day, at_ms=now_ms) or day > now_ms // DAY_MS:
        raise _RefusedError(f"today and the {KEPT_DAYS - 1} days before it are counted live")
    return day


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
