"""Models by name, fitted to paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trackstream.analysis import heuristics
from trackstream.analysis.own_models import LEARNT
from trackstream.core.models import BUILT_IN, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trackstream.analysis.paths import Paths
    from trackstream.analysis.results import Fitted
    from trackstream.core.models import ConvertedPath, Weigh

__all__ = ["Wanted", "fit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which model, and how."""

    model: str
    order: int = 1
    """For `markov`."""
    pairs: int | None = None
    """For `shapley`: pairs of orders to draw, where there are too many channels."""
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """For all others."""


def fit(
    wanted: Wanted,
    paths: Paths,
    *,
    own: Mapping[str, Weigh],
    conversions: Sequence[ConvertedPath] | None = None,
) -> Fitted:
    """Fit a model.

    Args:
        wanted: which, and how.
        paths: the journeys by channel.
        own: somebody's own models by name.
        conversions: those of `paths` one by one, where the times of their touches are known.

    Raises:
        ModelError: there is no such model, or it refuses its parameters or the paths.
        NothingToLearnError: there is no conversion.
        ModuleNotFoundError: numpy or scipy, the extra `models`, is needed and not installed.
    """
    name = wanted.model
    if name in LEARNT:
        if wanted.parameters:
            raise ModelError(f"{name} takes no parameters")
        if name == "markov":
            from trackstream.analysis.markov import markov

            return markov(paths, order=wanted.order)
        from trackstream.analysis.shapley import PAIRS, shapley

        return shapley(paths, pairs=wanted.pairs or PAIRS, seed=wanted.seed)
    weigh = BUILT_IN.get(name) or own.get(name)
    if weigh is None:
        known = ", ".join([*BUILT_IN, *LEARNT, *sorted(own)])
        raise ModelError(f"there is no model {name}; there are {known}")
    if conversions is None:
        return heuristics.of_paths(paths, name=name, weigh=weigh, parameters=wanted.parameters)
    return heuristics.of_conversions(
        conversions,
        name=name,
        weigh=weigh,
        parameters=wanted.parameters,
        paths=paths,
    )
