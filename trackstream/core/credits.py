"""Multi-touch credits of a decision: what every model that the rules enable gives to each touch.

The touches shared among are the eligible candidates of a conversion that was matched: the chosen
one, older ones, and those of a weaker match type. One that takes over an earlier attribution
(`inherited`, `reinstall`) has no journey of its own: its touch has all. Organic: no credits.
The model `last` is the decision itself, so that its sums are those of the attributions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackstream.core.models import (
    BUILT_IN,
    WHOLE,
    ModelError,
    PathTouch,
    Weigh,
    channel_of,
    credit,
    exponent,
    money,
    path_of,
)
from trackstream.core.models.paths import NO_CHANNEL
from trackstream.core.records import Credit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trackstream.core.matching.decide import Decision
    from trackstream.core.records import Conversion, Touch
    from trackstream.core.rules import Rules

__all__ = ["MODELS", "credits_of", "model_problems", "parameters_of"]

MODELS: Mapping[str, Weigh] = BUILT_IN
"""The models that there are without anybody's own."""

_TAKEN_OVER = frozenset({"inherited", "reinstall"})
_SAMPLE = (
    PathTouch("a", 0, "search"),
    PathTouch("b", 3_600_000, "email"),
    PathTouch("c", 7_200_000, NO_CHANNEL),
)
"""A journey on which a model shows whether it takes its parameters."""


def credits_of(
    conversion: Conversion, decision: Decision, *, rules: Rules, models: Mapping[str, Weigh]
) -> tuple[list[Credit], dict[str, str]]:
    """The credits of every model of `rules.models`, in that order; none for an organic conversion.

    Args:
        conversion: its revenue is shared, to the minor unit of its currency.
        decision: with its candidates' verdicts.
        rules: which models, and their parameters.
        models: by name, those that there are.

    Returns:
        The credits: the shares of one model sum to 1,000,000, its money to the revenue; touches
        that get nothing are left out. And, by name, why a model has given none.
    """
    if decision.touch is None:
        return [], {}
    candidates = [] if decision.method in _TAKEN_OVER else decision.candidates
    path = path_of(candidates, method=decision.method, touch=decision.touch)
    touches = {one.touch.touch_id: one.touch for one in candidates}
    touches[decision.touch.touch_id] = decision.touch
    credited: list[Credit] = []
    failed: dict[str, str] = {}
    for name in rules.models:
        try:
            shares = _shares(name, path, conversion, decision.touch, rules, models)
        except ModelError as error:
            failed[name] = str(error)
        else:
            credited += _credits(name, [touches[one.touch_id] for one in path], shares, conversion)
    return credited, failed


def parameters_of(rules: Rules, model: str) -> dict[str, Any]:
    """A model's parameters: what the rules say for all models, then for this one."""
    shared: dict[str, dict[str, Any]] = {
        "time_decay": {"half_life_ms": rules.half_life_ms},
        "priority": {"half_life_ms": rules.half_life_ms, "weights": rules.channel_weights},
    }
    return {**shared.get(model, {}), **rules.model_parameters.get(model, {})}


def model_problems(rules: Rules, models: Mapping[str, Weigh]) -> list[str]:
    """What is wrong with the models that the rules name, one line each; empty: nothing.

    Each is tried on a small journey, which tells whether it takes its parameters.
    """
    found: list[str] = []
    if len(set(rules.models)) != len(rules.models):
        found.append("models names a model twice")
    if rules.model not in rules.models:
        found.append(f"model: {rules.model} is not among models")
    found += [
        f"model_parameters.{name} belongs to no model among models"
        for name in rules.model_parameters
        if name not in rules.models
    ]
    for name in dict.fromkeys(rules.models):
        weigh = models.get(name)
        if weigh is None:
            found.append(f"models: {name} is not among {', '.join(models)}")
            continue
        try:
            credit(_SAMPLE, at_ms=10_800_000, weigh=weigh, parameters=parameters_of(rules, name))
        except ModelError as error:
            found.append(f"model_parameters.{name}: {error}")
    return found


def _shares(
    name: str,
    path: Sequence[PathTouch],
    conversion: Conversion,
    chosen: Touch,
    rules: Rules,
    models: Mapping[str, Weigh],
) -> list[int]:
    if name == "last" or len(path) == 1:
        return [WHOLE if one.touch_id == chosen.touch_id else 0 for one in path]
    weigh = models.get(name)
    if weigh is None:
        raise ModelError("there is no model of this name here")
    return credit(path, at_ms=conversion.at_ms, weigh=weigh, parameters=parameters_of(rules, name))


def _credits(
    name: str, touches: Sequence[Touch], shares: Sequence[int], conversion: Conversion
) -> list[Credit]:
    amounts: Sequence[int | None] = [None] * len(shares)
    if conversion.revenue_micros is not None:
        amounts = money(conversion.revenue_micros, shares, exponent(conversion.currency))
    return [
        Credit(
            model=name,
            touch_id=touch.touch_id,
            campaign_id=touch.campaign_id,
            channel=None if channel_of(touch) == NO_CHANNEL else channel_of(touch),
            share_millionths=share,
            revenue_micros=amount,
        )
        for touch, share, amount in zip(touches, shares, amounts, strict=True)
        if share
    ]
