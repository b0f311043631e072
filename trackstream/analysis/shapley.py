"""Shapley values of channels, in a game of conversion rates that learns from every journey.

The game: each journey is shown only those of its channels that are in S, and converts as often as
journeys do that touched exactly those. v(S) is how many conversions that makes; v of all channels
is the conversions that there were. `docs/models.md` says why this game and not another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trackstream.analysis.exposures import MOST_CHANNELS, exposures
from trackstream.analysis.lattice import exact
from trackstream.analysis.results import Fitted, fitted
from trackstream.analysis.sampling import sampled
from trackstream.core.models import ModelError

if TYPE_CHECKING:
    from trackstream.analysis.paths import Paths

__all__ = ["EXACT_CHANNELS", "PAIRS", "shapley"]

EXACT_CHANNELS = 12
"""Exposures of up to this many channels are computed over all their subsets."""

PAIRS = 2_000
"""Pairs of orders that are drawn for the others together."""


def shapley(
    paths: Paths, *, pairs: int = PAIRS, seed: int = 0, exact_channels: int = EXACT_CHANNELS
) -> Fitted:
    """Credit channels by their Shapley values; one whose value is negative has none.

    The game is a sum of games, one for each set of channels that journeys touched, and so are its
    values: it is only where one journey touched more than `exact_channels` that orders are drawn,
    and that standard errors are reported.

    Args:
        paths: with the journeys that ended without a conversion.
        pairs: of orders to draw.
        seed: for the same draw again.
        exact_channels: up to which size an exposure is computed exactly.

    Raises:
        ModelError: there are more than `MOST_CHANNELS` channels.
        NothingToLearnError: there is no conversion.
    """
    count = len(paths.channels)
    if count > MOST_CHANNELS:
        raise ModelError(
            f"{count} channels are too many for Shapley values: it takes up to {MOST_CHANNELS}"
        )
    values = np.zeros((count, 2))
    errors = None
    parameters = {}
    if count:
        there = exposures(paths)
        sizes = np.zeros(len(there.masks), dtype=np.int64)
        for i in range(count):
            sizes += there.masks >> i & 1
        for size in range(1, exact_channels + 1):
            values += exact(there, np.flatnonzero(sizes == size), size, count)
        large = np.flatnonzero(sizes > exact_channels)
        if len(large):
            estimated, spread = sampled(there, large, count, pairs=pairs, seed=seed)
            values += estimated
            errors = spread[:, 0].tolist()
            parameters = {"pairs": pairs, "seed": seed}
    return fitted(
        "shapley",
        paths.totals,
        channels=paths.channels,
        weights=values[:, 0].tolist(),
        value_weights=values[:, 1].tolist(),
        effects=values[:, 0].tolist(),
        errors=errors,
        parameters=parameters,
    )
