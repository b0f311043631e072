"""What a model gives: each channel's part of the conversions and of their value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trackstream.core.models import WHOLE, apportion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trackstream.analysis.paths import Totals

__all__ = ["ChannelCredit", "Fitted", "NothingToLearnError", "fitted", "ranked"]


class NothingToLearnError(Exception):
    """There is no conversion, or none that a channel could have the credit of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCredit:
    """One channel's part."""

    channel: str
    share: float
    """Of all conversions, 0 to 1."""
    conversions_millionths: int
    value_micros: int
    effect: float | None = None
    """What the model has measured: removal effect (Markov), or Shapley value in conversions."""
    standard_error: float | None = None
    """Of a sampled effect; None where it is exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A model fitted to paths. Conversions and value of the rows sum exactly to the totals."""

    model: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """All that it depends on beside the paths."""
    totals: Totals
    rows: list[ChannelCredit]
    """The largest share first."""


def fitted(
    model: str,
    totals: Totals,
    *,
    channels: Sequence[str],
    weights: Sequence[float],
    value_weights: Sequence[float],
    effects: Sequence[float] | None = None,
    errors: Sequence[float] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Fitted:
    """Credit channels in proportion to weights; negative ones have none.

    Args:
        model: its name.
        totals: what is to be shared.
        channels: by name; the following are in their order.
        weights: for conversions.
        value_weights: for value; where none is positive, conversions' are taken.
        effects: what to show as measured.
        errors: its standard errors.
        parameters: what the model was given.

    Raises:
        NothingToLearnError: no weight is positive.
    """
    counted = [max(0, one) for one in weights]
    valued = [max(0, one) for one in value_weights]
    if not totals.conversions or not any(counted):
        raise NothingToLearnError("the paths have no conversion that a channel could be credited")
    whole = sum(counted)
    conversions = apportion(counted, totals.conversions * WHOLE)
    values = apportion(valued if any(valued) else counted, totals.value_micros)
    rows = [
        ChannelCredit(
            channel=channel,
            share=float(counted[i] / whole),
            conversions_millionths=conversions[i],
            value_micros=values[i],
            effect=None if effects is None else float(effects[i]),
            standard_error=None if errors is None else float(errors[i]),
        )
        for i, channel in enumerate(channels)
    ]
    return Fitted(model=model, parameters=dict(parameters or {}), totals=totals, rows=ranked(rows))


def ranked(rows: list[ChannelCredit]) -> list[ChannelCredit]:
    """The most conversions first, of equal ones the most value, then by name."""
    return sorted(
        rows, key=lambda row: (-row.conversions_millionths, -row.value_micros, row.channel)
    )
