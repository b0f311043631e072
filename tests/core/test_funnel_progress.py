"""The live counts of funnels are those of the reference, in whatever order events arrive."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tables.counters import plus
from tests.core.funnelled import funnels, happened
from trackstream.core import live_funnels
from trackstream.core.funnel_progress import (
    KEPT_DAYS,
    MOST_HITS,
    MOST_REACHED,
    Followed,
    FunnelCounts,
    FunnelDay,
    follow,
    oldest_day,
)
from trackstream.core.funnels import Funnel, Happened, Step, advance, figures, furthest
from trackstream.core.funnels_file import funnels_of_text
from trackstream.core.live_funnels import MOST_FUNNELS, NO_FUNNELS, LiveFunnel, LiveFunnels
from trackstream.core.records import Event, Session
from trackstream.core.rules import DAY_MS

if TYPE_CHECKING:
    from random import Random

    import pytest

BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
DAY = 20_000
NOON_MS = DAY * DAY_MS
NOW_MS = NOON_MS + DAY_MS
Known = dict[str, Followed]
Counts = dict[FunnelDay, FunnelCounts]
Seen = tuple[str, Happened]
"""A session, and what happened in it."""


def near_midnight(one: Happened) -> Happened:
    """Some of the moments before midnight, some after it: 8 to 30 s become -12 to +10."""
    return one._replace(at_ms=NOON_MS + one.at_ms - 20_000)


seen = st.tuples(st.sampled_from("st"), happened.map(near_midnight))


def event(session: str, one: Happened, *, bot: bool = False) -> Event:
    return Event(
        event_id="e",
        app_id="a",
        event=one.event,
        timestamp_ms=one.at_ms,
        client_timestamp_ms=one.at_ms,
        received_at_ms=NOW_MS,
        person="p",
        subject="a|device:p",
        session_id=session,
        properties=msgspec.json.encode(one.properties).decode(),
        bot=bot,
    )


def merged(session: str, into: str) -> Session:
    return Session(
        session_id=session,
        app_id="a",
        subject="a|device:p",
        person="p",
        revision=2,
        status="merged",
        started_at_ms=0,
        ended_at_ms=0,
        duration_ms=0,
        event_count=1,
        page_views=0,
        bounced=True,
        conversions=0,
        merged_into=into,
    )


def live(*given: Funnel, since_ms: int = 1) -> LiveFunnels:
    return LiveFunnels.of(LiveFunnel(one, since_ms) for one in given)


def take(
    known: Known,
    counts: Counts,
    funnels: LiveFunnels,
    happening: list[Seen],
    *sessions: Session,
    at_ms: int = NOW_MS,
) -> Known:
    """One envelope; its changes are added to the counts; the state goes through its bytes."""
    events = [event(session, one) for session, one in happening]
    after, changes = follow(known, funnels, events, sessions=sessions, at_ms=at_ms)
    for place, change in changes.items():
        counts[place] = plus(counts.get(place, FunnelCounts()), change)
    return msgspec.msgpack.decode(msgspec.msgpack.encode(after), type=Known)


def reference(funnel: Funnel, happening: list[Seen]) -> dict[int, list[int]]:
    """Of every day on which somebody entered, the figures' counts."""
    days = {}
    for day in {one.at_ms // DAY_MS for _, one in happening}:
        progress: dict[str, tuple[tuple[int, ...], ...]] = defaultdict(tuple)
        for session, one in sorted(happening, key=lambda what: what[1].at_ms):
            key = session if funnel.by == "session" else ""
            progress[key] = advance(
                progress[key], funnel, one, begin_ms=day * DAY_MS, end_ms=(day + 1) * DAY_MS
            )
        counts = [one.count for one in figures(funnel, map(furthest, progress.values()))]
        if counts[0]:
            days[day] = counts
    return days


def shown(funnel: Funnel, counts: Counts) -> dict[int, list[int]]:
    return {
        place.day: [row.counts.get(step, 0) for step in range(1, len(funnel.steps) + 1)]
        for place, row in counts.items()
        if place.name == funnel.name and row.counts
    }


@settings(BUSY, max_examples=1500)
@given(
    given_=st.lists(funnels, min_size=1, max_size=2),
    happening=st.lists(seen, max_size=16),
    random=st.randoms(use_true_random=False),
)
def test_any_order_and_any_batches_end_in_the_counts_of_the_reference(
    given_: list[Funnel], happening: list[Seen], random: Random
) -> None:
    named = [msgspec.structs.replace(one, name=f"f{n}") for n, one in enumerate(given_)]
    known: Known = {}
    counts: Counts = {}
    left = random.sample(happening, len(happening))
    while left:
        batch = [left.pop() for _ in range(random.randint(1, min(4, len(left))))]
        known = take(known, counts, live(*named), batch)
    for funnel in named:
        assert shown(funnel, counts) == reference(funnel, happening)


@settings(BUSY, max_examples=700)
@given(
    funnel=funnels.map(lambda one: msgspec.structs.replace(one, by="session")),
    happening=st.lists(
        st.tuples(st.sampled_from("stuv"), happened.map(near_midnight)), max_size=16
    ),
    joins=st.lists(st.tuples(st.sampled_from("stuv"), st.sampled_from("stuv")), max_size=3),
    random=st.randoms(use_true_random=False),
)
def test_sessions_that_are_joined_count_as_one(
    funnel: Funnel, happening: list[Seen], joins: list[tuple[str, str]], random: Random
) -> None:
    known: Known = {}
    counts: Counts = {}
    into = {one: one for one in "stuv"}
    left = random.sample(happening, len(happening))
    todo = [(old, new) for old, new in joins if old != new]
    while left or todo:
        gone = []
        if todo and (not left or random.random() < 0.3):
            old, new = todo.pop()
            # A session that is gone takes no other in.
            old, new = into[old], into[new]
            if old != new:
                into = {name: new if now == old else now for name, now in into.items()}
                gone = [merged(old, new)]
        batch = [left.pop() for _ in range(random.randint(0, min(4, len(left))))]
        batch = [(into[session], one) for session, one in batch]
        known = take(known, counts, live(funnel), batch, *gone)
    assert shown(funnel, counts) == reference(
        funnel, [(into[session], one) for session, one in happening]
    )


@settings(BUSY, max_examples=100)
@given(
    funnel=funnels,
    runs=st.lists(st.tuples(happened, st.integers(1, 60)), min_size=2, max_size=6),
    gap_ms=st.integers(1, 200),
)
def test_many_alike_in_order_count_right_beyond_the_bound(
    funnel: Funnel, runs: list[tuple[Happened, int]], gap_ms: int
) -> None:
    at_ms = NOON_MS - 5000
    happening: list[Seen] = []
    for what, times in runs:
        for _ in range(times):
            at_ms += gap_ms
            happening.append(("s", what._replace(at_ms=at_ms)))
    known: Known = {}
    counts: Counts = {}
    for one in happening:
        known = take(known, counts, live(funnel), [one])
    assert shown(funnel, counts) == reference(funnel, happening)
    assert all(len(one.hits) <= MOST_HITS for one in known.values())


TWO = Funnel(name="two", within_ms=5000, steps=(Step(events=("view",)), Step(events=("buy",))))


def happening_of(*moments: tuple[str, int]) -> list[Seen]:
    return [("s", Happened(NOON_MS + at_ms, name, {})) for name, at_ms in moments]


def test_what_is_not_in_order_is_forgotten_beyond_the_bound_and_never_counted_twice() -> None:
    known: Known = {}
    counts: Counts = {}
    turns = [one for n in range(MOST_HITS) for one in (("view", 10 * n), ("buy", 10 * n + 5))]
    for one in happening_of(*turns, *turns[::-1]):
        known = take(known, counts, live(TWO), [one])
    assert len(known["two"].hits) == MOST_HITS
    assert shown(TWO, counts) == {DAY: [1, 1]}


def test_more_sessions_than_are_remembered() -> None:
    funnel = msgspec.structs.replace(TWO, by="session")
    known: Known = {}
    counts: Counts = {}
    for n in range(MOST_REACHED + 10):
        happening = [(f"s{n}", one) for _, one in happening_of(("view", 9 * n), ("buy", 9 * n + 1))]
        known = take(known, counts, live(funnel), happening)
    assert len(known["two"].reached) == MOST_REACHED
    assert shown(funnel, counts) == {DAY: [MOST_REACHED + 10] * 2}


def test_days_that_do_not_count_any_more_leave_and_take_nothing_in() -> None:
    known: Known = {}
    counts: Counts = {}
    last_ms = NOON_MS + KEPT_DAYS * DAY_MS - 1
    assert (oldest_day(last_ms), oldest_day(last_ms + 1)) == (DAY, DAY + 1)
    known = take(known, counts, live(TWO), happening_of(("view", 0)), at_ms=last_ms)
    assert shown(TWO, counts) == {DAY: [1, 0]}
    assert known["two"].hits
    later = happening_of(("buy", 1), ("view", 2))
    assert take(known, counts, live(TWO), later, at_ms=last_ms + 1) == known
    known = take(known, counts, live(TWO), happening_of(("buy", DAY_MS)), at_ms=last_ms + 1)
    assert known == {"two": Followed(1, [(NOON_MS + DAY_MS, 0, 2)])}
    assert shown(TWO, counts) == {DAY: [1, 0]}


def test_another_definition_counts_anew_and_one_that_is_gone_is_forgotten() -> None:
    known: Known = {}
    counts: Counts = {}
    known = take(known, counts, live(TWO), happening_of(("view", 0)))
    other = msgspec.structs.replace(TWO, name="other")
    known = take(known, counts, live(TWO, other), happening_of(("buy", 1)))
    assert set(known) == {"two", "other"}
    known = take(known, counts, live(TWO, since_ms=2), happening_of(("buy", 2)))
    known = take(known, counts, live(TWO, since_ms=2), happening_of(("view", 3)))
    assert {place: row.counts for place, row in counts.items()} == {
        FunnelDay("two", 1, DAY): {1: 1, 2: 1},
        FunnelDay("two", 2, DAY): {1: 1},
    }
    assert take(known, counts, NO_FUNNELS, happening_of(("view", 4))) == {}


def test_what_matches_nothing_changes_nothing() -> None:
    known: Known = {}
    counts: Counts = {}
    known = take(known, counts, live(TWO), happening_of(("view", 0)))
    one = event("s", Happened(NOON_MS + 1, "other", {}))
    after, changes = follow(known, live(TWO), [one], sessions=[merged("x", "y")], at_ms=NOW_MS)
    assert (after["two"] is known["two"], changes) == (True, {})
    robot = event("s", Happened(NOON_MS + 1, "buy", {}), bot=True)
    after, changes = follow(known, live(TWO), [robot], at_ms=NOW_MS)
    assert (after["two"] is known["two"], changes) == (True, {})


def test_properties_are_read_once_and_only_where_a_step_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: Counter[str] = Counter()
    real = live_funnels._properties

    def counting(one: Event) -> dict[str, object]:
        reads[one.event] += 1
        return real(one)

    monkeypatch.setattr(live_funnels, "_properties", counting)
    file = """
[a]
within = "1m"
steps = [{ event = "view" }, { event = "buy", where = { n = { min = 2 } } }]
[b]
within = "1m"
by = "session"
steps = [{ event = "view" }, { event = "buy", where = { n = 2 } }]
"""
    counts: Counts = {}
    happening = [
        ("s", Happened(NOON_MS, "view", {"n": 1})),
        ("s", Happened(NOON_MS + 1, "buy", {"n": 2})),
    ]
    take({}, counts, live(*funnels_of_text(file).values()), happening)
    assert [row.counts for row in counts.values()] == [{1: 1, 2: 1}] * 2
    assert reads == {"buy": 1}


def test_the_first_funnels_of_a_file_are_followed() -> None:
    many = [msgspec.structs.replace(TWO, name=f"f{n}") for n in range(MOST_FUNNELS + 1)]
    followed = live(*many)
    assert set(followed.by_name) == {f"f{n}" for n in range(MOST_FUNNELS)}
    assert {match.name for match in followed.by_event["view"]} == set(followed.by_name)
