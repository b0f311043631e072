"""The built-in models. Each reads its parameters, and refuses those that it does not know.

Ages are counted from the conversion; only their differences matter, so that each weight is taken
relative to the newest touch, where it is 1 and cannot vanish.
"""

from __future__ import annotations

from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trackstream.core.models.credit import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trackstream.core.models.credit import Weigh
    from trackstream.core.models.paths import PathTouch

__all__ = ["BUILT_IN", "HALF_LIFE_MS"]

HALF_LIFE_MS = 7 * 86_400_000
"""After this long a touch weighs half. Source: Google Ads API, AttributionModel, time decay."""


def _first(
    path: Sequence[PathTouch],
    *,
    at_ms: int,  # noqa: ARG001 # a model's signature
    parameters: Mapping[str, Any],
) -> list[int]:
    _known(parameters)
    return [1] + [0] * (len(path) - 1)


def _last(
    path: Sequence[PathTouch],
    *,
    at_ms: int,  # noqa: ARG001 # a model's signature
    parameters: Mapping[str, Any],
) -> list[int]:
    _known(parameters)
    return [0] * (len(path) - 1) + [1]


def _linear(
    path: Sequence[PathTouch],
    *,
    at_ms: int,  # noqa: ARG001 # a model's signature
    parameters: Mapping[str, Any],
) -> list[int]:
    _known(parameters)
    return [1] * len(path)


def _position(
    path: Sequence[PathTouch],
    *,
    at_ms: int,  # noqa: ARG001 # a model's signature
    parameters: Mapping[str, Any],
) -> list[Fraction]:
    """`first` and `last` are shares, 0.4 each; the touches between have the rest equally."""
    _known(parameters, "first", "last")
    first = Fraction(str(_number(parameters, "first", default=0.4)))
    last = Fraction(str(_number(parameters, "last", default=0.4)))
    if first + last > 1:
        raise ModelError("first and last are shares: their sum is at most 1")
    between = len(path) - 2
    if between < 0:
        return [Fraction(1)]
    if between == 0:
        return [first, last]
    return [first, *[(1 - first - last) / between] * between, last]


def _time_decay(
    path: Sequence[PathTouch], *, at_ms: int, parameters: Mapping[str, Any]
) -> list[float]:
    """`half_life_ms`: the age after which a touch weighs half."""
    _known(parameters, "half_life_ms")
    return _recency(path, at_ms, parameters)


def _priority(
    path: Sequence[PathTouch], *, at_ms: int, parameters: Mapping[str, Any]
) -> list[float]:
    """The score of a touch is its channel's weight times its recency.

    `weights`: channel -> weight, 1 for those not named. `half_life_ms`: as for time decay, whose
    factor is the recency. `winner_takes_all`: the highest score has all of the credit, the newest
    of several; else credit is in proportion to the scores.
    """
    _known(parameters, "weights", "half_life_ms", "winner_takes_all")
    given = parameters.get("weights", {})
    if not isinstance(given, dict):
        raise ModelError("weights is an object of channels and their weights")
    by_channel = {channel: _number(given, channel, default=1) for channel in given}
    scores = [
        by_channel.get(touch.channel, 1) * recency
        for touch, recency in zip(path, _recency(path, at_ms, parameters), strict=True)
    ]
    if not parameters.get("winner_takes_all", False):
        return scores
    winner = max(range(len(scores)), key=lambda i: (scores[i], i))
    return [float(i == winner) for i in range(len(scores))]


def _recency(path: Sequence[PathTouch], at_ms: int, parameters: Mapping[str, Any]) -> list[float]:
    half_life_ms = _number(parameters, "half_life_ms", default=HALF_LIFE_MS)
    if half_life_ms == 0:
        raise ModelError("half_life_ms is more than 0")
    ages_ms = [max(0, at_ms - touch.at_ms) for touch in path]
    newest_ms = min(ages_ms)
    return [2.0 ** -((age_ms - newest_ms) / half_life_ms) for age_ms in ages_ms]


def _known(parameters: Mapping[str, Any], *names: str) -> None:
    unknown = sorted(set(parameters) - set(names))
    if unknown:
        has = f"it has {', '.join(names)}" if names else "it has none"
        raise ModelError(f"no such parameter: {', '.join(unknown)}; {has}")


def _number(parameters: Mapping[str, Any], name: str, *, default: float) -> float:
    value = parameters.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e18:
        raise ModelError(f"{name} is a number, 0 or more")
    return value


BUILT_IN: Mapping[str, Weigh] = MappingProxyType(
    {
        "first": _first,
        "last": _last,
        "linear": _linear,
        "position": _position,
        "time_decay": _time_decay,
        "priority": _priority,
    }
)
"""By the names that users give."""
