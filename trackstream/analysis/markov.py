"""Removal effects: what part of the conversions would be lost without a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trackstream.analysis.absorption import outcomes
from trackstream.analysis.chain import chain
from trackstream.analysis.results import Fitted, NothingToLearnError, fitted

if TYPE_CHECKING:
    from trackstream.analysis.paths import Paths

__all__ = ["markov"]


def markov(paths: Paths, *, order: int) -> Fitted:
    """Credit channels by their removal effects, normalised; value by those on value.

    Args:
        paths: with the journeys that ended without a conversion.
        order: touches that the chain remembers, 1 to 3.

    Raises:
        NothingToLearnError: there is no conversion.
    """
    totals = paths.totals
    if not totals.conversions:
        raise NothingToLearnError("the paths have no conversion")
    found = outcomes(chain(paths, order=order))
    with_all = found[0]
    # Without value there is nothing to lose; rounding must not make a loss negative.
    lost = 1.0 - found[1:] / np.where(with_all > 0, with_all, 1.0)
    lost = np.clip(lost, 0.0, 1.0)
    if with_all[1] <= 0:
        lost[:, 1] = 0.0
    return fitted(
        "markov",
        totals,
        channels=paths.channels,
        weights=lost[:, 0].tolist(),
        value_weights=lost[:, 1].tolist(),
        effects=lost[:, 0].tolist(),
        parameters={"order": order},
    )
