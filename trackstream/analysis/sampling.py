"""Shapley values by random orders: for exposures with too many channels for all subsets.

Source: Castro, Gómez and Tejada, "Polynomial calculation of the Shapley value based on sampling",
Computers & Operations Research 36 (2009); every order is taken with its reverse (antithetic
variates), which cancels much of the variance: Mitchell, Cooper, Frank and Holmes, "Sampling
permutations for Shapley value estimation", Journal of Machine Learning Research 23 (2022).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trackstream.analysis.exposures import Exposures

__all__ = ["sampled"]


def sampled(
    there: Exposures, chosen: NDArray[np.intp], channels: int, *, pairs: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimate the Shapley values of the exposures' games, each times its journeys, added up.

    Exposures are strata: each has pairs of orders in proportion to its journeys, at least two, so
    that what they add up to is exact, and only its division is estimated.

    Args:
        there: all exposures.
        chosen: which of them to add up.
        channels: how many there are in all.
        pairs: about how many pairs of orders to draw.
        seed: the same one draws the same orders.

    Returns:
        (channels, 2) in conversions and in value, and the standard errors of them.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros((channels, 2))
    variance = np.zeros((channels, 2))
    share = there.journeys[chosen] / there.journeys[chosen].sum()
    for at, part in zip(chosen, share, strict=True):
        mask = there.masks[at]
        members = np.flatnonzero((mask >> np.arange(channels)) & 1)
        game = _Game(there, mask, members)
        draws = max(2, round(pairs * part))
        drawn = np.empty((draws, len(members), 2))
        for i in range(draws):
            order = rng.permutation(len(members))
            drawn[i] = (game.added(order) + game.added(order[::-1])) / 2
        journeys = there.journeys[at]
        total[members] += journeys * drawn.mean(axis=0)
        variance[members] += journeys**2 * drawn.var(axis=0, ddof=1) / draws
    return total, np.sqrt(variance)


class _Game:
    """The rates of an exposure's subsets, for members that come one after the other."""

    def __init__(self, there: Exposures, mask: np.int64, members: NDArray[np.intp]) -> None:
        inside = np.flatnonzero((there.masks & ~mask) == 0)
        self._rates = there.rates[inside]
        self._has = ((there.masks[inside][:, None] >> members) & 1).astype(bool)
        self._sizes = self._has.sum(axis=1)

    def added(self, order: NDArray[np.intp]) -> NDArray[np.float64]:
        """(members, 2): what each adds to those before it."""
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(1, len(order) + 1)
        complete = (self._has * place).max(axis=1)
        worths = np.zeros((len(order) + 1, 2))
        np.maximum.at(worths, complete, self._rates)
        np.maximum.accumulate(worths, axis=0, out=worths)
        seen = complete == self._sizes
        worths[complete[seen]] = self._rates[seen]
        adds: NDArray[np.float64] = np.diff(worths, axis=0)[place - 1]
        return adds
