"""Paths for the tests."""

from __future__ import annotations

from hypothesis import strategies as st

from trackstream.core.models import PathTouch

DAY_MS = 86_400_000
AT_MS = 1_750_000_000_000


def path(*channels: str, step_ms: int = DAY_MS) -> list[PathTouch]:
    """Touches one step apart, the last one at the moment of the conversion."""
    newest = len(channels) - 1
    return [
        PathTouch(f"t{i}", AT_MS - (newest - i) * step_ms, channel)
        for i, channel in enumerate(channels)
    ]


def paths(max_size: int = 12) -> st.SearchStrategy[list[PathTouch]]:
    """Touches of any age, several of one moment among them."""
    touch = st.tuples(st.integers(0, 60), st.sampled_from("abcd"))
    return st.lists(touch, min_size=1, max_size=max_size).map(
        lambda made: [
            PathTouch(f"t{i}", AT_MS - days * DAY_MS // 2, channel)
            for i, (days, channel) in enumerate(made)
        ]
    )
