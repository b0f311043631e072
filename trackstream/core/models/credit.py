"""Weights as credits: whole millionths that sum exactly to one, by the largest remainder."""

from __future__ import annotations

from fractions import Fraction
from math import isfinite, lcm
from numbers import Rational, Real
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trackstream.core.models.paths import PathTouch

    Weight = int | float | Fraction

__all__ = ["WHOLE", "ModelError", "Weigh", "apportion", "credit"]

WHOLE = 1_000_000
"""The credit of one conversion, in millionths."""


class ModelError(Exception):
    """A model cannot be used as it was asked for; the message says why."""


class Weigh(Protocol):
    """A model: how much each touch of a path weighs against the others.

    `path` is never empty, and oldest first; `at_ms` is when it converted; `parameters` are those
    that the user gave. The weights are as many as the touches, finite, not negative, of any scale.
    """

    def __call__(
        self, path: Sequence[PathTouch], /, *, at_ms: int, parameters: Mapping[str, Any]
    ) -> Sequence[Weight]:
        """The weights, in the order of the path."""


def credit(
    path: Sequence[PathTouch],
    *,
    at_ms: int,
    weigh: Weigh,
    parameters: Mapping[str, Any] | None = None,
    whole: int = WHOLE,
) -> list[int]:
    """Share one conversion among its touches.

    Args:
        path: its touches in any order; the order has no influence.
        at_ms: when it converted.
        weigh: the model, a built-in one or somebody's own.
        parameters: of the model.
        whole: the credit to share, if not that of one conversion in millionths.

    Returns:
        The credit of each touch, as `path` has them: not negative, and in sum exactly `whole`;
        nothing for no touches. Weights that are all zero share it equally.

    Raises:
        ModelError: the model refuses its parameters, raises, or returns no such weights.
    """
    if not path:
        return []
    order = sorted(range(len(path)), key=lambda i: (path[i].at_ms, path[i].touch_id))
    try:
        weights = list(weigh([path[i] for i in order], at_ms=at_ms, parameters=parameters or {}))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"it raised {type(error).__name__}: {error}") from error
    if len(weights) != len(path):
        raise ModelError(f"it gave {len(weights)} weights for {len(path)} touches")
    shares = apportion(weights, whole)
    credited = [0] * len(path)
    for i, share in zip(order, shares, strict=True):
        credited[i] = share
    return credited


def apportion(weights: Sequence[Weight], total: int) -> list[int]:
    """Split a whole number in proportion to weights, exactly.

    Each gets its quota rounded down, and what is left goes one by one to the largest remainders
    (Hamilton's method); of equal remainders, to the first. Computed in integers, so that neither
    the weights' scale nor rounding has an influence.

    Args:
        weights: finite and not negative; if all are zero, they count as equal.
        total: any integer; a negative one is split as its absolute value is.

    Raises:
        ModelError: a weight is not a number, not finite, or negative.
    """
    if not weights:
        return []
    exact = _as_integers(weights)
    whole = sum(exact)
    if whole == 0:
        exact = [1] * len(weights)
        whole = len(weights)
    size = abs(total)
    parts, remainders = zip(*(divmod(one * size, whole) for one in exact), strict=True)
    shares = list(parts)
    left = size - sum(shares)
    for i in sorted(range(len(shares)), key=lambda i: -remainders[i])[:left]:
        shares[i] += 1
    return shares if total >= 0 else [-one for one in shares]


def _as_integers(weights: Sequence[object]) -> list[int]:
    """Integers in exactly the same proportion; every float is a fraction."""
    ratios = [_fraction(one).as_integer_ratio() for one in weights]
    common = lcm(*(denominator for _, denominator in ratios))
    return [numerator * (common // denominator) for numerator, denominator in ratios]


def _fraction(weight: object) -> Fraction:
    # `numbers` knows numpy's scalars, too, which somebody's own model may return.
    if isinstance(weight, Rational):
        exact = Fraction(weight)
    elif isinstance(weight, Real) and isfinite(weight):
        exact = Fraction(float(weight))
    else:
        exact = Fraction(-1)
    if exact < 0:
        raise ModelError(f"{weight!r} is not a weight: it has to be a finite number, 0 or more")
    return exact
