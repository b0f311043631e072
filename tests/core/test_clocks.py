"""Clocks that are wrong once, or were set: every event comes out at its time, within latency."""

from __future__ import annotations

from itertools import permutations
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.visiting import GAP, NOW, apply, envelope, page
from trackstream.core.clocks import Clock, Heard, Reading, heard
from trackstream.core.records import Envelope, RawEvent, Session
from trackstream.core.rules import DAY_MS, DEFAULT, HOUR_MS
from trackstream.core.timestamps import EARLIEST_MS
from trackstream.core.visits import passed

if TYPE_CHECKING:
    from trackstream.core.visits import VisitorState

YEAR_MS = 365 * DAY_MS
WRONG_MS = [
    10 * YEAR_MS,
    -10 * YEAR_MS,
    253_402_300_799_000 - NOW,
    -NOW,
    26 * HOUR_MS,
    -7 * HOUR_MS,
]
"""How far ahead a clock is: by ten years, at the end of 9999, in 1970, …"""


def sent(n: int, at_ms: int, *, ahead_ms: int, latency_ms: int = 200, event: str = "x") -> Envelope:
    """A request made at once, by a clock that is so far ahead; e{n} happened a second before."""
    return envelope(
        page(n, at_ms - 1_000 + ahead_ms, event),
        received_at_ms=at_ms + latency_ms,
        sent_at_ms=at_ms + ahead_ms,
    )


def times_of(requests: list[Envelope]) -> tuple[VisitorState, dict[str, int]]:
    state, found = None, dict[str, int]()
    for offset, one in enumerate(requests):
        state, out = apply(state, one, offset)
        found |= {event.event_id: event.timestamp_ms for event in out.events}
    assert state is not None
    return state, found


@pytest.mark.parametrize("wrong_ms", WRONG_MS)
def test_one_request_by_a_wrong_clock_harms_no_other_whichever_comes_first(wrong_ms: int) -> None:
    requests = [
        sent(1, NOW, ahead_ms=0),
        sent(2, NOW + 60_000, ahead_ms=wrong_ms),
        sent(3, NOW + 120_000, ahead_ms=0),
        sent(4, NOW + DAY_MS, ahead_ms=0),
    ]
    for order in permutations(requests):
        state, found = times_of(list(order))
        wanted = {"e1": NOW, "e2": NOW + 60_000, "e3": NOW + 120_000, "e4": NOW + DAY_MS}
        for name, at_ms in wanted.items():
            assert found[name] == pytest.approx(at_ms - 1_000, abs=500)
        _, records = passed(state, at_ms=NOW + 2 * DAY_MS, rules=DEFAULT)
        spans = sorted((one.started_at_ms, one.event_count) for one in records)
        assert [count for _, count in spans] == [3, 1]
        for (start_ms, _), at_ms in zip(spans, (NOW, NOW + DAY_MS), strict=True):
            assert start_ms == pytest.approx(at_ms - 1_000, abs=500)


@pytest.mark.parametrize("wrong_ms", WRONG_MS)
@pytest.mark.parametrize("later", [False, True])
def test_what_does_not_say_when_it_was_sent_stays_where_it_can_be(
    wrong_ms: int,
    later: bool,  # noqa: FBT001 - a table of cases
) -> None:
    at_ms = NOW + DAY_MS
    plain = envelope(page(1, at_ms - 1_000), page(2, at_ms), received_at_ms=at_ms + 200)
    wild = sent(9, NOW, ahead_ms=wrong_ms)
    state, found = times_of([plain, wild] if later else [wild, plain])
    assert (found["e1"], found["e2"]) == (at_ms - 1_000, at_ms)
    assert found["e9"] == pytest.approx(NOW - 1_000, abs=500)
    _, records = passed(state, at_ms=at_ms + DAY_MS, rules=DEFAULT)
    starts_ms = sorted(one.started_at_ms for one in records)
    assert starts_ms == pytest.approx([NOW - 1_000, at_ms - 1_000], abs=500)


@pytest.mark.parametrize("hours", [-7, 7])
def test_a_clock_that_is_steadily_wrong_corrects_what_cannot_be_otherwise(hours: int) -> None:
    ahead_ms = hours * HOUR_MS
    at_ms = NOW + DAY_MS
    queued = page(1, at_ms - 2 * HOUR_MS + ahead_ms)
    plain = envelope(queued, page(2, at_ms + ahead_ms), received_at_ms=at_ms + 200)
    _, found = times_of([sent(9, NOW, ahead_ms=ahead_ms), plain])
    assert found["e1"] == pytest.approx(at_ms - 2 * HOUR_MS, abs=500)
    assert found["e2"] == pytest.approx(at_ms, abs=500)


def test_a_corrected_time_before_what_can_be_is_set_to_the_earliest() -> None:
    ahead_ms = 7 * HOUR_MS
    old = page(1, EARLIEST_MS + HOUR_MS)
    plain = envelope(old, page(2, NOW + ahead_ms), received_at_ms=NOW)
    state, found = times_of([sent(9, NOW, ahead_ms=ahead_ms), plain])
    assert found["e1"] == EARLIEST_MS
    assert min(one.start[0] for one in state.sessions) + state.error_ms == EARLIEST_MS


CLOCKS = st.lists(st.sampled_from([0, *WRONG_MS, 3 * HOUR_MS]), min_size=1, max_size=4, unique=True)


@settings(max_examples=60, deadline=None)
@given(clocks=CLOCKS, seed=st.integers(0, 2**32), sits=st.integers(1, 6))
def test_order_of_arrival_makes_no_difference_beyond_latency(
    clocks: list[int], seed: int, sits: int
) -> None:
    """Sittings of a few minutes, hours apart; each request by any of the device's clocks."""
    random = Random(seed)
    most_ms = 100_000
    true_ms, requests, n = dict[str, int](), list[Envelope](), 0
    sittings: list[list[int]] = []
    for sit in range(sits):
        sittings.append([])
        for _ in range(random.randint(1, 4)):
            at_ms = NOW + sit * 6 * GAP + random.randint(0, 300_000)
            latency_ms = random.randint(0, most_ms)
            requests.append(sent(n, at_ms, ahead_ms=random.choice(clocks), latency_ms=latency_ms))
            true_ms[f"e{n}"] = at_ms - 1_000
            sittings[-1].append(at_ms - 1_000)
            n += 1
    random.shuffle(requests)
    state, last = None, dict[str, Session]()
    for offset, one in enumerate(requests):
        state, out = apply(state, one, offset)
        again, repeated = apply(state, one, offset)
        assert again == state
        assert [e.timestamp_ms for e in repeated.events] == [e.timestamp_ms for e in out.events]
        last |= {record.session_id: record for record in out.sessions}
        for event in out.events:
            assert event.timestamp_ms == pytest.approx(true_ms[event.event_id], abs=most_ms)
    assert state is not None
    state, closing = passed(state, at_ms=NOW + 30 * DAY_MS, rules=DEFAULT)
    last |= {record.session_id: record for record in closing}
    kept = sorted(
        (one for one in last.values() if one.status != "merged"), key=lambda one: one.started_at_ms
    )
    assert [one.event_count for one in kept] == [len(one) for one in sittings]
    for session, times_ms in zip(kept, sittings, strict=True):
        assert session.started_at_ms == pytest.approx(min(times_ms), abs=2 * most_ms)
        assert session.ended_at_ms == pytest.approx(max(times_ms), abs=2 * most_ms)


@settings(max_examples=60, deadline=None)
@given(
    clocks=CLOCKS,
    seed=st.integers(0, 2**32),
    steps_ms=st.lists(st.integers(1, 5_000), min_size=2, max_size=12),
)
def test_the_order_of_one_clocks_events_is_kept(
    clocks: list[int], seed: int, steps_ms: list[int]
) -> None:
    """Whatever the latency of requests, once the least of a clock is known."""
    random = Random(seed)
    requests = [sent(-n - 1, NOW, ahead_ms=one, latency_ms=0) for n, one in enumerate(clocks)]
    of_clock, at_ms = dict[str, int](), NOW
    later: list[Envelope] = []
    for n, step_ms in enumerate(steps_ms):
        at_ms += step_ms
        ahead_ms = random.choice(clocks)
        of_clock[f"e{n}"] = ahead_ms
        later.append(sent(n, at_ms, ahead_ms=ahead_ms, latency_ms=random.randint(0, 600_000)))
    random.shuffle(later)
    _, found = times_of([*requests, *later])
    for one in clocks:
        mine = [found[name] for name, ahead_ms in of_clock.items() if ahead_ms == one]
        assert mine == sorted(mine)
        assert len(set(mine)) == len(mine)


def test_no_more_clocks_are_remembered_than_a_few() -> None:
    state, found = times_of([sent(n, NOW, ahead_ms=n * DAY_MS) for n in range(40)])
    assert len(state.clocks) == 8
    assert all(at_ms == pytest.approx(NOW - 1_000, abs=500) for at_ms in found.values())


def test_a_request_is_by_the_nearest_clock() -> None:
    known = Heard(0, [Clock(100 * 60_000, 100 * 60_000)])
    raw = RawEvent(event_id="e", event="x", timestamp_ms=NOW, cookie_id="c")

    def told(offset_min: int) -> tuple[Heard, Reading]:
        one = envelope(raw, received_at_ms=NOW, sent_at_ms=NOW - offset_min * 60_000)
        return heard(known, one, begun=True, rules=DEFAULT)

    assert told(40) == (known, Reading(0, 0))
    assert told(60)[0].others == [Clock(60 * 60_000, 100 * 60_000)]
    assert told(161)[0].others == [*known.others, Clock(161 * 60_000, 161 * 60_000)]
    assert told(-61)[0].offset_ms == 0
