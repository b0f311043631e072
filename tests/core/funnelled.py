"""Funnels and events to draw: few names, values and moments, so that they meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from trackstream.core.funnels import Filter, Funnel, Happened, Step

BEGIN_MS, END_MS = 10_000, 20_000
NAMES = ("view", "cart", "buy")
_VALUES: list[Any] = [1, 1.5, 0, -2, True, False, None, "1", "DE", "", [1], {"a": 1}]

filters = st.one_of(
    st.builds(
        Filter,
        name=st.sampled_from(["p", "q"]),
        any_of=st.lists(
            st.sampled_from([1, 1.5, 0, True, False, "1", "DE"]), min_size=1, max_size=3
        ).map(tuple),
    ),
    st.builds(
        Filter,
        name=st.sampled_from(["p", "q"]),
        min=st.sampled_from([None, -2, 0.5, 1.5]),
        max=st.sampled_from([1, 1.5]),
    ),
)
steps = st.builds(
    Step,
    events=st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True).map(tuple),
    where=st.lists(filters, max_size=1).map(tuple),
)
funnels = st.builds(
    Funnel,
    name=st.just("f"),
    by=st.sampled_from(["person", "session"]),
    within_ms=st.sampled_from([1000, 3000, 8000]),
    steps=st.lists(steps, min_size=2, max_size=4).map(tuple),
)
happened = st.builds(
    Happened,
    at_ms=st.integers(8, 30).map(lambda n: n * 1000),
    event=st.sampled_from([*NAMES, "other"]),
    properties=st.dictionaries(st.sampled_from(["p", "q"]), st.sampled_from(_VALUES)),
)
