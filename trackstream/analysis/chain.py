"""The absorbing Markov chain of a set of paths, of order 1 to 3.

A state is what the last touches were, up to as many as the order; where a journey has just begun,
fewer. From a state a journey goes on to another one, or ends, with a conversion or without: with
the frequencies that the paths show. Source: Anderl, Becker, von Wangenheim and Schumann, "Mapping
the customer journey", International Journal of Research in Marketing 33 (2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trackstream.analysis.paths import Paths

__all__ = ["Chain", "chain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """States are numbers from 0."""

    begin: NDArray[np.float64]
    """How probable each state is as the first."""
    steps: Any
    """From (row) to (column), sparse (CSR); rows sum to the probability of going on."""
    conversion: NDArray[np.float64]
    """How probable the next step is a conversion."""
    value: NDArray[np.float64]
    """The value that the next step brings, expected."""
    has: NDArray[np.bool_]
    """(channels, states): whether the channel is among a state's touches."""


def chain(paths: Paths, *, order: int) -> Chain:
    """The chain of the paths.

    Args:
        paths: at least one.
        order: how many touches a state remembers, 1 to 3.
    """
    codes = np.frombuffer(paths.codes, dtype=np.int32)
    ends = np.frombuffer(paths.ends, dtype=np.int64)
    lengths = np.diff(ends, prepend=0)
    base = len(paths.channels) + 1
    keys = _keys(codes, np.arange(len(codes)) - np.repeat(ends - lengths, lengths), base, order)
    states, visited = np.unique(keys, return_inverse=True)
    size = len(states)

    conversions = np.frombuffer(paths.conversions, dtype=np.int64).astype(np.float64)
    journeys = conversions + np.frombuffer(paths.nulls, dtype=np.int64)
    weights = np.repeat(journeys, lengths)
    visits = np.bincount(visited, weights=weights, minlength=size)
    goes_on = np.ones(len(codes), dtype=bool)
    goes_on[ends - 1] = False
    here = np.flatnonzero(goes_on)
    counted = sparse.coo_array(
        (weights[here], (visited[here], visited[here + 1])), shape=(size, size)
    ).tocsr()
    last = visited[ends - 1]
    values = np.array(paths.values_micros, dtype=np.float64)
    return Chain(
        begin=np.bincount(visited[ends - lengths], weights=journeys, minlength=size)
        / journeys.sum(),
        steps=(sparse.diags_array(1.0 / visits) @ counted).tocsr(),
        conversion=np.bincount(last, weights=conversions, minlength=size) / visits,
        value=np.bincount(last, weights=values, minlength=size) / visits,
        has=_has(states, len(paths.channels), order),
    )


def _keys(
    codes: NDArray[np.int32], position: NDArray[np.int64], base: int, order: int
) -> NDArray[np.int64]:
    """A number for each touch with those before it: its digits are channels + 1, newest lowest."""
    keys = codes.astype(np.int64) + 1
    for back in range(1, order):
        before = np.zeros_like(keys)
        before[back:] = codes[:-back] + 1
        keys += np.where(position >= back, before, 0) * base**back
    return keys


def _has(states: NDArray[np.int64], channels: int, order: int) -> NDArray[np.bool_]:
    has = np.zeros((channels + 1, len(states)), dtype=bool)
    number = np.arange(len(states))
    rest = states
    for _ in range(order):
        rest, digit = np.divmod(rest, channels + 1)
        has[digit, number] = True
    return has[1:]
