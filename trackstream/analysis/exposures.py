"""Journeys by the set of channels that they touched, as bits of one number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trackstream.analysis.paths import Paths

__all__ = ["MOST_CHANNELS", "Exposures", "exposures"]

MOST_CHANNELS = 62
"""As many as fit into a signed 64-bit number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposures:
    """The different sets, in the order of their numbers."""

    masks: NDArray[np.int64]
    """Bit i: channel i was touched."""
    journeys: NDArray[np.float64]
    """How many journeys touched exactly these channels."""
    rates: NDArray[np.float64]
    """(sets, 2): their conversions, and their value, for each journey."""

    def looked_up(self, wanted: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The rates of sets, 0 where no journey touched exactly these; and whether one did.

        Sets may have any shape; the rates have a dimension more, of two.
        """
        at = np.minimum(np.searchsorted(self.masks, wanted), len(self.masks) - 1)
        seen = self.masks[at] == wanted
        return np.where(seen[..., None], self.rates[at], 0.0), seen


def exposures(paths: Paths) -> Exposures:
    """The exposures of paths that have at most `MOST_CHANNELS` channels."""
    codes = np.frombuffer(paths.codes, dtype=np.int32).astype(np.int64)
    ends = np.frombuffer(paths.ends, dtype=np.int64)
    begins = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]])
    masks, at = np.unique(np.bitwise_or.reduceat(np.int64(1) << codes, begins), return_inverse=True)
    size = len(masks)
    conversions = np.frombuffer(paths.conversions, dtype=np.int64)
    nulls = np.frombuffer(paths.nulls, dtype=np.int64)
    values = np.array(paths.values_micros, dtype=np.float64)
    journeys = np.bincount(at, weights=conversions + nulls, minlength=size).astype(np.float64)
    sums = [np.bincount(at, weights=one, minlength=size) for one in (conversions, values)]
    return Exposures(
        masks=masks, journeys=journeys, rates=np.stack(sums, axis=1) / journeys[:, None]
    )
