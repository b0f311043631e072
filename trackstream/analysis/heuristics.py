"""The models of `trackstream.core.models` over many paths: credits of each, added up."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from trackstream.analysis.results import (
    ChannelCredit,
    Fitted,
    NothingToLearnError,
    fitted,
    ranked,
)
from trackstream.core.models import PathTouch, credit, exponent, money

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trackstream.analysis.paths import Paths
    from trackstream.core.models import ConvertedPath, Weigh

__all__ = ["BY_POSITION", "of_conversions", "of_paths"]

BY_POSITION = frozenset({"first", "last", "linear", "position", "time_decay"})
"""Models that do not look at channels: paths of one length are all credited alike."""

STEP_MS = 86_400_000
"""Between the touches of a path that has no times; the last is at the conversion."""

_FINE = 10**12
"""Shares of a path that stands for many conversions are finer than one conversion's."""


def of_paths(paths: Paths, *, name: str, weigh: Weigh, parameters: Mapping[str, Any]) -> Fitted:
    """A model over counted paths. They have no times: touches count as one day apart.

    Raises:
        ModelError: the model refuses its parameters, or misbehaves.
        NothingToLearnError: there is no conversion.
    """
    conversions = [0] * len(paths.channels)
    values = [0] * len(paths.channels)
    by_length: dict[int, list[int]] = {}
    for codes, made, value in paths.each():
        if not made:
            continue
        shares = by_length.get(len(codes))
        if shares is None:
            path = _daily([paths.channels[code] for code in codes])
            shares = credit(path, at_ms=0, weigh=weigh, parameters=parameters, whole=_FINE)
            if name in BY_POSITION:
                by_length[len(codes)] = shares
        for code, share in zip(codes, shares, strict=True):
            if share:
                conversions[code] += share * made
                values[code] += share * value
    return fitted(
        name,
        paths.totals,
        channels=paths.channels,
        weights=conversions,
        value_weights=values,
        parameters=parameters,
    )


def of_conversions(
    conversions: Iterable[ConvertedPath],
    *,
    name: str,
    weigh: Weigh,
    parameters: Mapping[str, Any],
    paths: Paths,
) -> Fitted:
    """A model over conversions with the times of their touches; those without touches are left out.

    Credits are those that each conversion gets by itself, its revenue split to the cent. `paths`
    are the same conversions counted, with the channels that brought none.

    Raises:
        ModelError: the model refuses its parameters, or misbehaves.
        NothingToLearnError: no conversion has a touch.
    """
    credited = Counter(dict.fromkeys(paths.channels, 0))
    values: Counter[str] = Counter()
    for path, at_ms, revenue_micros, currency in conversions:
        shares = credit(path, at_ms=at_ms, weigh=weigh, parameters=parameters)
        amounts = money(revenue_micros, shares, exponent(currency))
        for touch, share, amount in zip(path, shares, amounts, strict=True):
            credited[touch.channel] += share
            values[touch.channel] += amount
    whole = credited.total()
    if not whole:
        raise NothingToLearnError("no conversion has a touch that could be credited")
    rows = [
        ChannelCredit(
            channel=channel,
            share=share / whole,
            conversions_millionths=share,
            value_micros=values[channel],
        )
        for channel, share in credited.items()
    ]
    return Fitted(model=name, parameters=dict(parameters), totals=paths.totals, rows=ranked(rows))


def _daily(channels: Sequence[str]) -> list[PathTouch]:
    newest = len(channels) - 1
    return [
        PathTouch(str(i), (i - newest) * STEP_MS, channel) for i, channel in enumerate(channels)
    ]
