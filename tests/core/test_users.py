"""Whose a subject's events are: in whatever order it becomes known, the same."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.visiting import START, apply, envelope, page
from trackstream.core.records import RawEvent, Session
from trackstream.core.rules import DAY_MS, DEFAULT
from trackstream.core.users import UserMark, at_once, marked, user_at
from trackstream.core.visitor import passed

MINUTE_MS = 60_000
MOST_MARKS = 2 * (16 + 8)
moments_ms = st.integers(0, 300).map(lambda n: START + n * MINUTE_MS) | st.integers(0, 40).map(
    lambda n: START + n * DAY_MS // 3
)
marks = st.lists(
    st.tuples(moments_ms, st.integers(0, 2), st.sampled_from(["u", "v", "w", "=", "", None])),
    max_size=120,
)


@settings(max_examples=300, deadline=None)
@given(every=marks, rest=marks, seed=st.integers(0, 2**32))
def test_what_is_kept_follows_from_the_set_of_marks(
    every: list[UserMark], rest: list[UserMark], seed: int
) -> None:
    at_first = marked([], every + rest)
    random, todo = Random(seed), every + rest + every
    random.shuffle(todo)
    kept: list[UserMark] = []
    while todo:
        some = random.choice([1, 1, 1, 2, 20])
        kept = marked(kept, todo[:some])
        todo = todo[some:]
        assert len(kept) <= MOST_MARKS
    assert kept == at_first == marked(at_first, [])


@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["u", "v", None])), max_size=30))
def test_of_sessions_that_are_apart_nothing_is_lost(some: list[tuple[int, str | None]]) -> None:
    every = [(START + n * 31 * MINUTE_MS, 0, user_id) for n, user_id in dict(some).items()]
    exact = at_once([], every)
    kept = marked([], every)
    for at_ms in range(START - MINUTE_MS, START + 8 * 31 * MINUTE_MS, MINUTE_MS):
        assert user_at(kept, (at_ms, 1)) == user_at(exact, (at_ms, 1))


def test_a_user_who_names_himself_all_day_long_takes_little_room_and_is_known_a_week_later() -> (
    None
):
    kept: list[UserMark] = []
    for minute in range(0, 7 * 24 * 60, 5):
        kept = marked(kept, [(START + minute * MINUTE_MS, 0, "u")])
    assert len(kept) <= MOST_MARKS
    assert all(user_at(kept, (START + hour * 60 * MINUTE_MS, 1)) == "u" for hour in range(7 * 24))


A, B, C = (page(n, START + n * 60 * MINUTE_MS, user_id="u") for n in range(3))
OUT = page(9, START + 20 * MINUTE_MS, "logout")


@pytest.mark.parametrize("order", [[A, OUT, B, C], [A, B, C, OUT], [C, OUT, B, A]])
def test_a_log_out_that_comes_late_is_not_the_end_of_later_sessions(order: list[RawEvent]) -> None:
    state, records = None, dict[str, Session]()
    for offset, event in enumerate(order):
        state, out = apply(state, envelope(event), offset)
        records |= {one.session_id: one for one in out.sessions}
    assert state is not None
    _, last = passed(state, at_ms=START + DAY_MS, rules=DEFAULT)
    records |= {one.session_id: one for one in last}
    assert {one.person for one in records.values()} == {"user:u"}
    assert len(records) == 3


def test_a_session_is_its_own_users_however_many_came_after() -> None:
    first = [page(n, START + n * MINUTE_MS, user_id=f"u{n}") for n in range(3)]
    later = [page(n, START + n * 32 * MINUTE_MS, user_id=f"v{n % 7}") for n in range(3, 60)]
    state, _ = apply(None, envelope(*first), 0)
    for offset, event in enumerate(later, 1):
        state, _ = apply(state, envelope(event), offset)
    state, _ = apply(state, envelope(page(99, START + 5 * MINUTE_MS)), 99)
    _, records = passed(state, at_ms=START + 3 * DAY_MS, rules=DEFAULT)
    assert records[0].started_at_ms == START
    assert [one.person for one in records] == ["user:u2", *(f"user:{one.user_id}" for one in later)]


def test_within_one_request_every_mark_counts() -> None:
    names = ["u", None, "u", None, "v", None, "u", None, "u", None]
    events = [page(n, START + n, user_id=name) for n, name in enumerate(names)]
    events[2] = msgspec.structs.replace(events[2], event="logout", user_id=None)
    _, out = apply(None, envelope(*events), 0)
    persons = [one.person.removeprefix("user:") for one in out.events]
    assert persons == ["u", "u", "u", "cookie:c", "v", "v", "u", "u", "u", "u"]
