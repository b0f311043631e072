"""Funnels live: how far each subject has come, and what its next events change in the counts.

A subject keeps its last hits (events that match a step) of each funnel. New ones are put among them
by the time of the events, so that late ones count as if they had come in order, and only the change
of the counts goes out. What is counted, and how, is `core.funnels`: each day of entry, in UTC, the
subject (or session) counts once, by the entry of that day that comes furthest. See
docs/decisions/live-funnels.md.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trackstream.core.cells import mark
from trackstream.core.rules import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trackstream.core.funnels import Funnel
    from trackstream.core.live_funnels import LiveFunnels, NewHits
    from trackstream.core.records import Event, Session

__all__ = [
    "KEPT_DAYS",
    "Changes",
    "Followed",
    "FunnelCounts",
    "FunnelDay",
    "follow",
    "oldest_day",
]

KEPT_DAYS = 8
"""Days of entry that are counted live: that of the arrival, and those before it."""
MOST_HITS = 64
"""Of a subject and funnel."""
MOST_REACHED = 128
"""Sessions (or days of a subject) whose counts are remembered, of a funnel."""

Hit = tuple[int, int, int]
"""When; whose session (a hash; 0 where subjects are counted); bits of the steps that it matches."""

Reached = tuple[int, int, int]
"""A day since 1970, a session as in `Hit`, and how many steps have been counted of it."""


class FunnelCounts(msgspec.Struct, frozen=True, array_like=True):
    """Counts of a funnel's day; also a change of them."""

    counts: dict[int, int] = {}
    """By the number of the step, from 1: how many came to it."""
    applied: int = -1
    """Source offset of the last message counted, so that its replay is not."""


class Followed(msgspec.Struct, frozen=True, array_like=True):
    """What a subject remembers of one funnel."""

    since_ms: int
    """Which definition of that name it is."""
    hits: list[Hit] = []
    """In order."""
    reached: list[Reached] = []
    """In order."""


class FunnelDay(NamedTuple):
    """What counts belong to."""

    name: str
    since_ms: int
    day: int
    """Since 1970, in UTC."""


Changes = dict[FunnelDay, FunnelCounts]


def oldest_day(at_ms: int) -> int:
    """The first of the days of entry that count for what arrives then."""
    return at_ms // DAY_MS - KEPT_DAYS + 1


def follow(
    known: dict[str, Followed],
    funnels: LiveFunnels,
    events: Iterable[Event],
    *,
    sessions: Iterable[Session] = (),
    at_ms: int,
) -> tuple[dict[str, Followed], Changes]:
    """Take in a subject's new events.

    Args:
        known: What it remembers, by the funnel's name.
        funnels: What its app's funnels are for them.
        events: As they are published, in any order, each once.
        sessions: Those published with them: some say that they were merged into others.
        at_ms: When they arrived.

    Returns:
        What it remembers now, and what changes in the counts of days that count then.
    """
    if not funnels:
        return {}, {}
    oldest_ms = oldest_day(at_ms) * DAY_MS
    hits = funnels.hits(events, oldest_ms=oldest_ms)
    merged = {
        mark(one.session_id): mark(one.merged_into)
        for one in sessions
        if one.merged_into is not None
    }
    after: dict[str, Followed] = {}
    changes: Changes = {}
    for name, live in funnels.by_name.items():
        before = known.get(name)
        if before is None or before.since_ms != live.since_ms:
            before = Followed(live.since_ms)
        new = hits.get(name, {})
        joins = merged if live.funnel.by == "session" and before.reached + before.hits else {}
        if not new and not joins:
            if before.hits or before.reached:
                after[name] = before
            continue
        now, counted = _followed(before, live.funnel, new, joins)
        after[name] = _bounded(now, oldest_ms)
        for day, counts in counted.items():
            if day * DAY_MS >= oldest_ms:
                changes[FunnelDay(name, live.since_ms, day)] = FunnelCounts(counts)
    return after, changes


_Place = tuple[int, int]
"""A day and a session."""
_Days = dict[int, dict[int, int]]
"""Changes of counts, by day and step."""


def _followed(
    before: Followed, funnel: Funnel, new: NewHits, joins: Mapping[int, int]
) -> tuple[Followed, _Days]:
    """With the new hits, and what it changes."""
    reached = {(day, session): depth for day, session, depth in before.reached}
    hits, days, since = before.hits[:], _Days(), dict[int, int]()
    if joins:
        hits, since = _joined(hits, reached, joins, days)
    for (session, at_ms), mask in new.items():
        _insert(hits, (at_ms, session, mask))
        # Earlier entries cannot come to it in time.
        since[session] = min(at_ms - funnel.within_ms, since.get(session, at_ms))
    for session, since_ms in since.items():
        mine = [(at_ms, mask) for at_ms, its, mask in hits if its == session]
        _reach(reached, funnel, session, mine, since_ms, days)
    now = Followed(
        before.since_ms, hits, sorted((*place, depth) for place, depth in reached.items())
    )
    counted = {
        day: changed
        for day, steps in days.items()
        if (changed := {step: count for step, count in steps.items() if count})
    }
    return now, counted


def _insert(hits: list[Hit], new: Hit) -> None:
    """Put it in its place; what matches at the same moment of a session is one hit."""
    at_ms, session, mask = new
    place = bisect_left(hits, (at_ms, session, 0))
    if place < len(hits) and hits[place][:2] == (at_ms, session):
        hits[place] = (at_ms, session, hits[place][2] | mask)
    else:
        hits.insert(place, new)


def _joined(
    hits: list[Hit], reached: dict[_Place, int], joins: Mapping[int, int], days: _Days
) -> tuple[list[Hit], dict[int, int]]:
    """Hits under the sessions that are left, and those which have grown, to be looked at whole."""
    grown: dict[int, int] = {}
    for day, session in list(reached):
        if session in joins:
            depth = reached.pop((day, session))
            _count(days, day, depth, 0)
            _come(reached, (day, joins[session]), depth, days)
    after: list[Hit] = []
    for at_ms, session, mask in hits:
        _insert(after, (at_ms, joins.get(session, session), mask))
        if session in joins:
            grown[joins[session]] = 0
    return after, grown


def _reach(
    reached: dict[_Place, int],
    funnel: Funnel,
    session: int,
    hits: list[tuple[int, int]],
    since_ms: int,
    days: _Days,
) -> None:
    """Note how far the entries from `since_ms` on come. Hits are at different times, in order."""
    most = len(funnel.steps)
    first = bisect_left(hits, (since_ms, 0))
    for number, (entry_ms, mask) in enumerate(hits[first:], first + 1):
        place = (entry_ms // DAY_MS, session)
        if not mask & 1 or reached.get(place) == most:
            continue
        depth, until_ms = 1, entry_ms + funnel.within_ms
        for at_ms, later in hits[number:]:
            if at_ms > until_ms or depth == most:
                break
            depth += later >> depth & 1
        _come(reached, place, depth, days)


def _come(reached: dict[_Place, int], place: _Place, depth: int, days: _Days) -> None:
    """Note that somebody has come so far, if not yet further."""
    known = reached.get(place, 0)
    if depth > known:
        reached[place] = depth
        _count(days, place[0], known, depth)


def _count(days: _Days, day: int, before: int, after: int) -> None:
    """Count up the steps that are come to, or down those that are not any more."""
    steps = days.setdefault(day, {})
    for step in range(before + 1, after + 1):
        steps[step] = steps.get(step, 0) + 1
    for step in range(after + 1, before + 1):
        steps[step] = steps.get(step, 0) - 1


def _bounded(now: Followed, oldest_ms: int) -> Followed:
    hits = [one for one in now.hits if one[0] >= oldest_ms]
    if len(hits) > MOST_HITS:
        hits = _thinned(hits)[-MOST_HITS:]
    days = [one for one in now.reached if one[0] * DAY_MS >= oldest_ms]
    return Followed(now.since_ms, hits, days[-MOST_REACHED:])


def _thinned(hits: list[Hit]) -> list[Hit]:
    """Without what is in the midst of many alike.

    Of hits of a session and a day that match the same steps, with none between that matches
    others, as many as there are such steps suffice at either end: whoever comes from before takes
    the first ones, and of the entries among them none comes further after them than the last that
    can take all their steps. Only what should come late between them can tell the difference.
    """
    kept: list[Hit] = []
    by_session = sorted(hits, key=lambda one: (one[1], one[0]))
    for (_, mask, _), alike in groupby(
        by_session, key=lambda one: (one[1], one[2], one[0] // DAY_MS)
    ):
        run = list(alike)
        ends = mask.bit_count()
        kept += run if len(run) <= 2 * ends else run[:ends] + run[-ends:]
    return sorted(kept)
