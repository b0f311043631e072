"""What envelopes change in the counts of funnels, with sessions, retries and replays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tables.counters import plus
from tests.core.test_funnel_progress import live, reference, shown
from tests.core.visiting import GAP, NOW, START, apply, envelope, page
from trackstream.core.funnel_progress import FunnelCounts, FunnelDay
from trackstream.core.funnels import Funnel, Happened, Step
from trackstream.core.visits import VisitorState

if TYPE_CHECKING:
    from random import Random

MINUTE_MS = 60_000
FUNNELS = [
    Funnel(
        name=f"{by}-{within}",
        by=by,
        within_ms=within * MINUTE_MS,
        steps=tuple(Step(events=(name,)) for name in ("view", "cart", "buy")),
    )
    for by in ("person", "session")
    for within in (20, 200)
]
LIVE = live(*FUNNELS)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    moments=st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["view", "cart", "buy", "else"])),
        min_size=1,
        max_size=14,
    ),
    random=st.randoms(use_true_random=False),
)
def test_counts_are_those_of_what_was_published(
    moments: list[tuple[int, str]], random: Random
) -> None:
    # From two hours before midnight to two after it, often just more than a gap apart.
    begin_ms = (START // 86_400_000 + 1) * 86_400_000 - 4 * GAP
    events = [page(n, begin_ms + at * GAP // 5, name) for n, (at, name) in enumerate(moments)]
    left = random.sample(events, len(events))
    state: VisitorState | None = None
    counts: dict[FunnelDay, FunnelCounts] = {}
    published: list[tuple[str, Happened]] = []
    into: dict[str, str] = {}
    offset = 0
    while left:
        batch = [left.pop() for _ in range(random.randint(1, min(3, len(left))))]
        retried = random.sample(events, random.randint(0, 1))
        one = envelope(*batch, *[e for e in retried if e not in left and e not in batch])
        state, out = apply(state, one, offset, funnels=LIVE)
        for place, change in out.funnels.items():
            counts[place] = plus(counts.get(place, FunnelCounts()), change)
        for session in out.sessions:
            if session.merged_into is not None:
                into[session.session_id] = session.merged_into
        published += [(e.session_id, Happened(e.timestamp_ms, e.event, {})) for e in out.events]
        again, replayed = apply(state, one, offset, funnels=LIVE)
        assert (again, replayed.funnels) == (state, {})
        offset += 1

    def last(session: str) -> str:
        return last(into[session]) if session in into else session

    for funnel in FUNNELS:
        wanted = reference(funnel, [(last(session), one) for session, one in published])
        assert shown(funnel, counts) == wanted


def test_apps_without_funnels_remember_and_count_nothing() -> None:
    one = envelope(page(1, START, "view"), received_at_ms=NOW)
    state, out = apply(None, one, 0)
    assert (state.funnels, out.funnels) == ({}, {})
    with_some, out = apply(None, one, 0, funnels=LIVE)
    assert {place.name for place in out.funnels} == {one.name for one in FUNNELS}
    assert msgspec.structs.replace(with_some, funnels={}) == state
    # The app has none any more.
    after, _ = apply(with_some, envelope(page(2, START + 1, "cart")), 1)
    assert after.funnels == {}


def test_a_state_from_before_there_were_funnels_is_read() -> None:
    state, _ = apply(None, envelope(page(1, START, "view")), 0)
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(state))
    old = msgspec.msgpack.encode(fields[: VisitorState.__struct_fields__.index("funnels")])
    expected = msgspec.structs.replace(state, requests=[])
    assert msgspec.msgpack.decode(old, type=VisitorState) == expected
