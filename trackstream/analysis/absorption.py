"""What an absorbing chain ends in: a linear system, solved exactly, not simulated.

With Q the steps between states, a journey that begins in state i with probability b_i visits the
states y = b (I - Q)^-1 = b + bQ + bQ² + … times on average (Kemeny and Snell, "Finite Markov
chains", theorem 3.2.4); it ends with a conversion with probability y · r. A channel is taken away
by taking away the states that have it: whoever would come there is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trackstream.analysis.chain import Chain

__all__ = ["outcomes"]

_FACTORED = 500
"""Up to this many states the matrix is factored. Beyond, its factors become dense: at 7,000 states
of order 3 one factorisation takes seconds, and the series a fraction of one for all channels."""

_LOST = 1e-14
"""The series ends when less than this part of the journeys is still under way."""

_MOST_TERMS = 20_000


def outcomes(chain: Chain, *, factored: int = _FACTORED) -> NDArray[np.float64]:
    """Probability of a conversion, and expected value.

    Returns:
        (1 + channels, 2): with all channels, then without each.
    """
    kept = np.vstack([np.ones((1, len(chain.begin)), dtype=bool), ~chain.has])
    ends = np.stack([chain.conversion, chain.value], axis=1)
    if len(chain.begin) > factored:
        found = _by_series(chain, kept, ends)
        if found is not None:
            return found
    return np.array([_by_factors(chain, one, ends) for one in kept])


def _by_factors(
    chain: Chain, kept: NDArray[np.bool_], ends: NDArray[np.float64]
) -> NDArray[np.float64]:
    at = np.flatnonzero(kept)
    if not len(at):
        return np.zeros(ends.shape[1])
    steps = chain.steps[at][:, at]
    system = sparse.eye_array(len(at), format="csr") - steps
    visits = splu(system.T.tocsc()).solve(chain.begin[at])
    total: NDArray[np.float64] = visits @ ends[at]
    return total


def _by_series(
    chain: Chain, kept: NDArray[np.bool_], ends: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """The series for all channels at once; None when journeys go on for too long.

    Its rest is known: what is still under way ends with at most one conversion each.
    """
    forward = chain.steps.T.tocsr()
    mask = kept.T.astype(np.float64)
    under_way = chain.begin[:, None] * mask
    total = under_way.T @ ends
    for _ in range(_MOST_TERMS):
        under_way = (forward @ under_way) * mask
        total += under_way.T @ ends
        if under_way.sum(axis=0).max() < _LOST:
            return total
    return None
