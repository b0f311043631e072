"""Shapley values over all subsets of an exposure: exact, for those of few channels."""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trackstream.analysis.exposures import Exposures

__all__ = ["exact"]

_AT_ONCE = 2**18
"""Subsets looked at together, so that memory stays small."""


def exact(
    there: Exposures, chosen: NDArray[np.intp], size: int, channels: int
) -> NDArray[np.float64]:
    """The Shapley values of the exposures' games, each times its journeys, added up.

    Args:
        there: all exposures.
        chosen: which of them to add up; all of one size.
        size: that size, in channels.
        channels: how many there are in all.

    Returns:
        (channels, 2): in conversions and in value.
    """
    total = np.zeros((channels, 2))
    rows = max(1, _AT_ONCE >> size)
    for begin in range(0, len(chosen), rows):
        part = chosen[begin : begin + rows]
        masks = there.masks[part]
        members = np.nonzero((masks[:, None] >> np.arange(channels)) & 1)[1].reshape(-1, size)
        values = _shapley(_worths(there, members, size), size)
        np.add.at(total, members, values * there.journeys[part][:, None, None])
    return total


def _worths(there: Exposures, members: NDArray[np.intp], size: int) -> NDArray[np.float64]:
    """(exposures, subsets, 2): the rate of each subset; bit j of its number is the j-th member.

    One that nobody has seen is worth what the best of its parts is.
    """
    subsets = np.zeros((len(members), 1 << size), dtype=np.int64)
    for j in range(size):
        half = 1 << j
        bit = np.int64(1) << members[:, j : j + 1]
        subsets[:, half : 2 * half] = subsets[:, :half] | bit
    rates, seen = there.looked_up(subsets)
    best = rates.copy()
    for j in range(size):
        split = best.reshape(len(members), -1, 2, 1 << j, 2)
        np.maximum(split[:, :, 1], split[:, :, 0], out=split[:, :, 1])
    return np.where(seen[..., None], rates, best)


def _shapley(worths: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """(exposures, members, 2): what each adds, over all orders in which they may come.

    A member comes after the s of a subset and before the others in s! (size - 1 - s)! orders.
    """
    numbers = np.arange(1 << size)
    counted = np.zeros_like(numbers)
    for j in range(size):
        counted += numbers >> j & 1
    orders = factorial(size)
    weights = np.array([factorial(s) * factorial(size - 1 - s) / orders for s in range(size)])
    values = np.empty((len(worths), size, 2))
    for j in range(size):
        split = worths.reshape(len(worths), -1, 2, 1 << j, 2)
        adds = split[:, :, 1] - split[:, :, 0]
        before = counted.reshape(-1, 2, 1 << j)[:, 0]
        values[:, j] = np.einsum("ahlg,hl->ag", adds, weights[before])
    return values
