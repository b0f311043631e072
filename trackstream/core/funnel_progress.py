"""Funnels live: how far each subject has come, and what its next events change in the counts.

A subject keeps its last hits (events that match a step) of each funnel. New ones are put among them
by the time of the events, so that late ones count as if they had come in order, and only the change
of the counts goes out. What is counted, and how, is `core.funnels`: each day of entry, in UTC, the
subject (or session) counts once, by the entry of that day that comes furthest. See
docs/decisions/live-funnels.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from trackstream.core.cells import mark
from trackstream.core.rules import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trackstream.core.funnels import Filter, Funnel
    from trackstream.core.records import Event, Session

__all__ = [
    "KEPT_DAYS",
    "NO_FUNNELS",
    "Changes",
    "Followed",
    "FunnelCounts",
    "FunnelDay",
    "LiveFunnel",
    "LiveFunnels",
    "follow",
    "oldest_day",
]

KEPT_DAYS = 8
"""Days of entry that are counted live: that of the arrival, and those before it."""
MOST_FUNNELS = 32
"""Of an app; those that its file has first."""
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


class LiveFunnel(NamedTuple):
    """A funnel as it counts for an app."""

    funnel: Funnel
    since_ms: int
    """From when on it was defined so without a break; with its name, which definition it is."""


class _Match(NamedTuple):
    """A step that an event of some name may be of."""

    name: str
    bit: int
    where: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class LiveFunnels:
    """An app's funnels, by name and by the events of their steps."""

    by_name: Mapping[str, LiveFunnel]
    by_event: Mapping[str, tuple[_Match, ...]]

    @classmethod
    def of(cls, funnels: Iterable[LiveFunnel]) -> LiveFunnels:
        """The first `MOST_FUNNELS` of these."""
        by_name: dict[str, LiveFunnel] = {}
        by_event: dict[str, tuple[_Match, ...]] = {}
        for one in list(funnels)[:MOST_FUNNELS]:
            name = one.funnel.name
            by_name[name] = one
            for number, step in enumerate(one.funnel.steps):
                match = _Match(name, 1 << number, step.where)
                for event in set(step.events):
                    by_event[event] = (*by_event.get(event, ()), match)
        return cls(by_name, by_event)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.by_name)


NO_FUNNELS = LiveFunnels({}, {})


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
    hits = _hits(funnels, events, oldest_ms)
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


_New = dict[tuple[int, int], int]
"""Steps by session and time."""


def _hits(funnels: LiveFunnels, events: Iterable[Event], oldest_ms: int) -> dict[str, _New]:
    """New hits by the funnel's name."""
    hits: dict[str, _New] = {}
    for event in events:
        matches = funnels.by_event.get(event.event)
        if not matches or event.bot or event.timestamp_ms < oldest_ms:
            continue
        properties: dict[str, Any] | None = None
        session = 0
        for name, bit, where in matches:
            if where:
                if properties is None:
                    properties = _properties(event)
                if not all(one.accepts(properties) for one in where):
                    continue
            if funnels.by_name[name].funnel.by == "session":
                session = session or mark(event.session_id)
                place = (session, event.timestamp_ms)
            else:
                place = (0, event.timestamp_ms)
            new = hits.setdefault(name, {})
            new[place] = new.get(place, 0) | bit
    return hits


def _properties(event: Event) -> dict[str, Any]:
    try:
        return msgspec.json.decode(event.properties, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def _followed(
    before: Followed, funnel: Funnel, new: _New, joins: Mapping[int, int]
) -> tuple[Followed, dict[int, dict[int, int]]]:
    """With the new hits, and what it changes, by day and step."""
    reached: dict[tuple[int, int], int] = {}
    for day, session, depth in before.reached:
        place = (day, joins.get(session, session))
        reached[place] = max(depth, reached.get(place, 0))
    masks = dict(new)
    for at_ms, session, mask in before.hits:
        hit = (joins.get(session, session), at_ms)
        masks[hit] = masks.get(hit, 0) | mask
    # Entries later than a new hit, or out of its reach, come no further by it.
    since: dict[int, int] = {}
    for session, at_ms in new:
        since[session] = min(at_ms - funnel.within_ms, since.get(session, at_ms))
    moved = {joins[session] for _, session, _ in before.hits + before.reached if session in joins}
    for session in moved:
        since[session] = 0
    ordered = sorted((session, at_ms, mask) for (session, at_ms), mask in masks.items())
    for session, its in groupby(ordered, key=lambda one: one[0]):
        if session in since:
            mine = [(at_ms, mask) for _, at_ms, mask in its]
            _reach(reached, funnel, session, mine, since[session])
    now = Followed(
        before.since_ms,
        sorted((at_ms, session, mask) for session, at_ms, mask in ordered),
        sorted((*place, depth) for place, depth in reached.items()),
    )
    return now, _changes(before.reached, now.reached)


def _reach(
    reached: dict[tuple[int, int], int],
    funnel: Funnel,
    session: int,
    hits: list[tuple[int, int]],
    since_ms: int,
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
        reached[place] = max(depth, reached.get(place, 0))


def _changes(before: list[Reached], after: list[Reached]) -> dict[int, dict[int, int]]:
    """By day and step."""
    change: Counter[tuple[int, int]] = Counter()
    for day, _, depth in {*after} - {*before}:
        change.update((day, step) for step in range(1, depth + 1))
    for day, _, depth in {*before} - {*after}:
        change.subtract((day, step) for step in range(1, depth + 1))
    days: dict[int, dict[int, int]] = {}
    for (day, step), count in sorted(change.items()):
        if count:
            days.setdefault(day, {})[step] = count
    return days


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
