"""Counts per window are those of the sets of subjects, in any order."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tables.counters import plus
from tests.core.visiting import NOW, START, apply, envelope, page
from trackstream.core.activity import (
    HOP_MS,
    WINDOW_MS,
    AppActivity,
    first_in,
    in_window,
    windows_of,
)

if TYPE_CHECKING:
    from trackstream.core.visits import VisitorState

MINUTE = 60_000


def test_a_moment_is_in_six_windows() -> None:
    windows = list(windows_of(START))
    assert len(windows) == 6
    assert all(one % HOP_MS == 0 and one <= START < one + WINDOW_MS for one in windows)


@settings(max_examples=100, deadline=None)
@given(minutes=st.lists(st.integers(0, 400), max_size=30), seed=st.integers(0, 2**32))
def test_a_subject_is_counted_once_in_each_window_in_which_it_was_active(
    minutes: list[int], seed: int
) -> None:
    random = Random(seed)
    times = [START + minute * MINUTE for minute in minutes]
    random.shuffle(times)
    known: list[int] = []
    counts: Counter[int] = Counter()
    while times:
        batch = [times.pop() for _ in range(random.randint(1, len(times)))]
        known, first = first_in(known, batch)
        counts.update(first)
    wanted = {w for minute in minutes for w in windows_of(START + minute * MINUTE)}
    assert counts == dict.fromkeys(wanted, 1)


@settings(max_examples=60, deadline=None)
@given(minutes=st.lists(st.integers(0, 200), min_size=1, max_size=15), seed=st.integers(0, 99))
def test_what_envelopes_count_is_what_there_is_in_the_end(minutes: list[int], seed: int) -> None:
    random = Random(seed)
    events = [
        page(n, START + minute * MINUTE, "purchase" if n % 3 == 0 else "page_view")
        for n, minute in enumerate(minutes)
    ]
    random.shuffle(events)
    state: VisitorState | None = None
    rows: dict[int, AppActivity] = {}
    for offset, event in enumerate([*events, *events[:2]]):
        state, out = apply(state, envelope(event, received_at_ms=NOW), offset)
        for begin_ms, change in out.activity.items():
            rows[begin_ms] = plus(rows.get(begin_ms, AppActivity()), change)
    assert state is not None
    starts = [one.start[0] for one in state.sessions]
    windows = {w for e in events for w in windows_of(e.timestamp_ms)}
    for begin_ms in windows:
        inside = [e for e in events if begin_ms <= e.timestamp_ms < begin_ms + WINDOW_MS]
        bought = [e for e in inside if e.event == "purchase"]
        assert in_window(rows, begin_ms) == AppActivity(
            active_subjects=int(bool(inside)),
            converting_subjects=int(bool(bought)),
            events=len(inside),
            conversions=len(bought),
            sessions_started=sum(begin_ms <= at < begin_ms + WINDOW_MS for at in starts),
        )
    assert set(rows) <= windows


def test_a_replay_counts_nothing() -> None:
    one = envelope(page(1, START), page(2, START + 1))
    state, first = apply(None, one, 7)
    assert first.activity[START // HOP_MS * HOP_MS].events == 2
    _, again = apply(state, one, 7)
    assert (len(again.events), again.activity) == (2, {})


def test_the_rate_is_the_share_of_subjects() -> None:
    assert AppActivity().conversion_rate == 0
    assert AppActivity(active_subjects=4, converting_subjects=1).conversion_rate == 0.25
