"""Every touch that a conversion's identifiers led to, and why it can or cannot have brought it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trackstream.core import fraud
from trackstream.core.identifiers import CLICK, DEVICES, is_probabilistic
from trackstream.core.matching.horizon import horizon_ms
from trackstream.core.matching.resemblance import confidence, device_of
from trackstream.core.records import Candidate, Conversion, Prior, Touch

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trackstream.core.rules import Rules

__all__ = ["ANOTHERS", "Found", "FoundPrior", "candidates_of", "shares", "touch_id_of"]

ANOTHERS = "another_device"
"""The verdict on a touch of a device that has installed itself."""


class Found(msgspec.Struct, frozen=True, array_like=True):
    """A touch, and the identifiers of the conversion under which it was found."""

    touch: Touch
    identifiers: list[str]


class FoundPrior(msgspec.Struct, frozen=True, array_like=True):
    """An earlier conversion, and the identifiers under which it was found."""

    prior: Prior
    identifiers: list[str]


def candidates_of(
    conversion: Conversion,
    found: Mapping[str, Found],
    history: list[FoundPrior],
    claimed: Collection[str],
    *,
    rules: Rules,
    confidences: Mapping[str, float],
) -> list[Candidate]:
    """Every touch as a candidate, strongest first; a verdict for those that cannot be chosen.

    Args:
        conversion: what is to be attributed.
        found: the touches that its identifiers led to, by touch id.
        history: earlier conversions of its identifiers, by time.
        claimed: ids of touches of other devices, see `decide`.
        rules: windows and thresholds.
        confidences: of touches for which it is known, see `decide`.
    """
    under: dict[str, list[Touch]] = {}
    for one in found.values():
        for identifier in one.identifiers:
            under.setdefault(identifier, []).append(one.touch)
    behind = {
        identifier: _devices(touches, conversion, rules)
        for identifier, touches in under.items()
        if is_probabilistic(identifier)
    }
    hours = {
        identifier: fraud.fullest_hours(one.at_ms for one in touches if one.kind == "click")
        for identifier, touches in under.items()
        if not is_probabilistic(identifier)
    }
    named = _named(conversion, found) if conversion.kind == "reengagement" else None
    around = _Around(conversion, hours, behind, history, claimed, named, rules, confidences)
    candidates = [_candidate(one, around) for one in found.values()]
    candidates.sort(key=lambda one: _rank(one, rules))
    return _unambiguous(candidates, rules)


class _Around(NamedTuple):
    """All that a candidate is judged by."""

    conversion: Conversion
    hours: Mapping[str, Mapping[int, int]]
    """Clicks in the fullest hour that a moment is in, by identifier; see `fraud.fullest_hours`."""
    behind: Mapping[str, int]
    """Devices by fingerprint."""
    history: list[FoundPrior]
    claimed: Collection[str]
    named: Collection[str] | None
    """Ids of the touches that a re-engagement names."""
    rules: Rules
    confidences: Mapping[str, float]


def _candidate(one: Found, around: _Around) -> Candidate:
    conversion, rules = around.conversion, around.rules
    own = conversion.identifiers
    identifier = min(
        one.identifiers,
        key=lambda i: (is_probabilistic(i), own.index(i) if i in own else len(own), i),
    )
    probabilistic = is_probabilistic(identifier)
    kind = "click" if one.touch.kind == "click" else "view"
    match_type = f"{kind}_{'probabilistic' if probabilistic else 'deterministic'}"
    sure = 1.0
    if probabilistic:
        known = around.confidences.get(one.touch.touch_id)
        sure = known or confidence(conversion, one.touch, behind=around.behind[identifier])
    flags = list[str]()
    verdict = _refusal(one, match_type, around)
    if verdict is None:
        rejected, flags = fraud.judge(_case(one, identifier, around))
        if rejected:
            verdict = f"fraud:{rejected}"
        elif probabilistic and sure < rules.min_confidence:
            verdict = "low_confidence"
    return Candidate(
        touch=one.touch,
        identifier=identifier,
        match_type=match_type,
        confidence=sure,
        verdict=verdict or "",
        flags=flags,
        identifiers=one.identifiers,
    )


def _refusal(one: Found, match_type: str, around: _Around) -> str | None:
    """Why a touch cannot have brought the conversion at all; None: it can."""
    conversion, rules, touch = around.conversion, around.rules, one.touch
    guessed = match_type.endswith("_probabilistic")
    reasons = (
        # before all that rules have a say in: a replay is to know of it
        (ANOTHERS, guessed and touch.touch_id in around.claimed),
        ("after_conversion", touch.at_ms > horizon_ms(conversion, rules)),
        ("not_named", around.named is not None and not _brings_back(touch, around)),
        ("probabilistic_off", guessed and not rules.probabilistic),
        ("not_in_waterfall", match_type not in rules.waterfall),
        ("outside_window", conversion.at_ms - touch.at_ms > rules.window_ms(match_type)),
    )
    return next((reason for reason, applies in reasons if applies), None)


def _brings_back(touch: Touch, around: _Around) -> bool:
    """Whether an app was opened by this touch: it names it, and was not installed by it."""
    installs = [
        each.prior
        for each in around.history
        if each.prior.kind == "install" and shares(around.conversion, each, DEVICES)
    ]
    installed_by = touch_id_of(installs[-1]) if installs else None
    return touch.touch_id in (around.named or ()) and touch.touch_id != installed_by


def _named(conversion: Conversion, found: Mapping[str, Found]) -> set[str]:
    """Ids of the touches with the click id that it names, else of the clicks of its campaign."""
    exactly = {key for key, one in found.items() if one.touch.click_id == conversion.click_id}
    return exactly or {
        key
        for key, one in found.items()
        if one.touch.kind == "click"
        and conversion.campaign_id is not None
        and one.touch.campaign_id == conversion.campaign_id
    }


def _case(one: Found, identifier: str, around: _Around) -> fraud.Case:
    conversion, rules = around.conversion, around.rules
    clicked = f"{CLICK}{one.touch.click_id}"
    return fraud.Case(
        conversion=conversion,
        touch=one.touch,
        identifier=identifier,
        devices=max(around.behind.values(), default=0),
        clicks_in_hour=around.hours.get(identifier, {}).get(one.touch.at_ms, 0),
        installs_of_click=[
            each.prior
            for each in around.history
            # A person may name one click on the web and in the app; two apps' devices may not.
            if conversion.kind == "install"
            and clicked in each.identifiers
            and each.prior.kind == "install"
            and not shares(conversion, each, DEVICES)
        ],
        rules=rules.fraud,
        slack_ms=horizon_ms(conversion, rules) - conversion.at_ms,
    )


def _devices(touches: list[Touch], conversion: Conversion, rules: Rules) -> int:
    """How many devices touched anything in the window before the conversion."""
    window_ms = rules.window_ms("click_probabilistic")
    return len(
        {device_of(one) for one in touches if 0 <= conversion.at_ms - one.at_ms <= window_ms}
    )


def _unambiguous(candidates: list[Candidate], rules: Rules) -> list[Candidate]:
    """Refuse fingerprint matches whose best two devices resemble the conversion's alike."""
    eligible = [one for one in candidates if one.verdict == "" and is_probabilistic(one.identifier)]
    best: dict[str, float] = {}
    for one in eligible:
        device = device_of(one.touch)
        best[device] = max(best.get(device, 0.0), one.confidence)
    ranked = sorted(best.values(), reverse=True)
    close = len(ranked) > 1 and ranked[0] - ranked[1] < rules.ambiguity_margin
    winner = None if close else max(best, key=lambda device: best[device], default=None)
    return [
        msgspec.structs.replace(one, verdict="ambiguous" if close else "less_alike")
        if one in eligible and device_of(one.touch) != winner
        else one
        for one in candidates
    ]


def _rank(one: Candidate, rules: Rules) -> tuple[int, str, int, str]:
    order = rules.waterfall
    place = order.index(one.match_type) if one.match_type in order else len(order)
    return place, one.match_type, -one.touch.at_ms, one.touch.touch_id


def shares(conversion: Conversion, one: FoundPrior, kinds: str | tuple[str, ...]) -> bool:
    """Whether an earlier conversion has an identifier of these kinds that the conversion has."""
    return any(i.startswith(kinds) and i in conversion.identifiers for i in one.identifiers)


def touch_id_of(prior: Prior) -> str | None:
    """Of the touch that it is attributed to."""
    return prior.touch.touch_id if prior.touch else None
