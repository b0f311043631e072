"""The models again, as their definitions read: fractions, dense, all orders, nothing clever."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise, permutations
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from trackstream.core.models import PathCount

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MILLION = 1_000_000

State = tuple[str, ...]


def counts(channels: str = "abc", max_paths: int = 6) -> st.SearchStrategy[list[PathCount]]:
    """A few journeys, with one conversion at least."""
    one = st.builds(
        lambda path, conversions, value, nulls: PathCount(
            tuple(path), conversions, value * MILLION * bool(conversions), nulls
        ),
        st.lists(st.sampled_from(channels), min_size=1, max_size=5),
        st.integers(0, 3),
        st.integers(0, 20),
        st.integers(0, 3),
    )
    return st.lists(one, min_size=1, max_size=max_paths).filter(
        lambda made: any(row.conversions for row in made)
    )


def removal_effects(rows: Sequence[PathCount], order: int) -> dict[str, tuple[Fraction, Fraction]]:
    """Of each channel, on conversions and on value (0 if there is none)."""
    channels = sorted({one for row in rows for one in row.channels})
    whole = _outcome(rows, order, None)
    effects = {}
    for channel in channels:
        without = _outcome(rows, order, channel)
        conversions, value = (
            1 - there / all_ if all_ else Fraction(0)
            for there, all_ in zip(without, whole, strict=True)
        )
        effects[channel] = (conversions, value)
    return effects


def _outcome(rows: Sequence[PathCount], order: int, gone: str | None) -> tuple[Fraction, Fraction]:
    """Conversions and value of one journey, by Gaussian elimination on (I - Q) x = r."""
    visits: dict[State, int] = {}
    steps: dict[tuple[State, State], int] = {}
    ends: dict[State, list[int]] = {}
    begins: dict[State, int] = {}
    journeys = 0
    for row in rows:
        weight = row.conversions + row.nulls
        if not weight:
            continue
        journeys += weight
        states = [row.channels[max(0, i + 1 - order) : i + 1] for i in range(len(row.channels))]
        begins[states[0]] = begins.get(states[0], 0) + weight
        for state in states:
            visits[state] = visits.get(state, 0) + weight
        for pair in pairwise(states):
            steps[pair] = steps.get(pair, 0) + weight
        end = ends.setdefault(states[-1], [0, 0])
        end[0] += row.conversions
        end[1] += row.value_micros
    kept = [state for state in sorted(visits) if gone not in state]
    system = [
        [Fraction(int(a == b)) - Fraction(steps.get((a, b), 0), visits[a]) for b in kept]
        + [Fraction(one, visits[a]) for one in ends.get(a, [0, 0])]
        for a in kept
    ]
    solved = _eliminated(system)
    conversions = sum(
        (Fraction(begins.get(one, 0), journeys) * solved[i][-2] for i, one in enumerate(kept)),
        Fraction(0),
    )
    value = sum(
        (Fraction(begins.get(one, 0), journeys) * solved[i][-1] for i, one in enumerate(kept)),
        Fraction(0),
    )
    return conversions, value


def _eliminated(system: list[list[Fraction]]) -> list[list[Fraction]]:
    for i in range(len(system)):
        pivot = next(j for j in range(i, len(system)) if system[j][i])
        system[i], system[pivot] = system[pivot], system[i]
        scale = system[i][i]
        system[i] = [one / scale for one in system[i]]
        for j, row in enumerate(system):
            if j != i and row[i]:
                times = row[i]
                system[j] = [a - times * b for a, b in zip(row, system[i], strict=True)]
    return system


class Game:
    """v(S): what journeys would bring, had they been shown only the channels of S."""

    def __init__(self, rows: Sequence[PathCount]) -> None:
        self.journeys: dict[frozenset[str], int] = {}
        self._sums: dict[frozenset[str], list[int]] = {}
        for row in rows:
            if row.conversions + row.nulls:
                key = frozenset(row.channels)
                self.journeys[key] = self.journeys.get(key, 0) + row.conversions + row.nulls
                sums = self._sums.setdefault(key, [0, 0])
                sums[0] += row.conversions
                sums[1] += row.value_micros

    def rate(self, shown: frozenset[str], what: int) -> Fraction:
        """Of the journeys that touched exactly these; else that of the best of their parts."""
        if shown in self.journeys:
            return Fraction(self._sums[shown][what], self.journeys[shown])
        parts = [self.rate(part, what) for part in self.journeys if part < shown]
        return max(parts, default=Fraction(0))

    def worth(self, coalition: Collection[str], what: int) -> Fraction:
        """v(S), in conversions (0) or value (1)."""
        return sum(
            (
                count * self.rate(exposed & frozenset(coalition), what)
                for exposed, count in self.journeys.items()
            ),
            Fraction(0),
        )

    def shapley(self, channels: Sequence[str], what: int) -> dict[str, Fraction]:
        """What each channel adds, on average over all orders."""
        values = dict.fromkeys(channels, Fraction(0))
        orders = list(permutations(channels))
        worths: dict[frozenset[str], Fraction] = {}
        for order in orders:
            before = frozenset[str]()
            for channel in order:
                after = before | {channel}
                for one in (before, after):
                    if one not in worths:
                        worths[one] = self.worth(one, what)
                values[channel] += worths[after] - worths[before]
                before = after
        return {channel: value / len(orders) for channel, value in values.items()}
