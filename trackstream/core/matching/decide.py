"""The decision: which touch, if any, brought a conversion. A pure function of all that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackstream.core import fraud
from trackstream.core.identifiers import is_probabilistic
from trackstream.core.matching.horizon import horizon_ms
from trackstream.core.matching.resemblance import confidence, device_of
from trackstream.core.records import Candidate, Conversion, Prior, Touch

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trackstream.core.rules import Rules

__all__ = ["ANOTHERS", "Decision", "Found", "FoundPrior", "decide"]

ANOTHERS = "another_device"
"""The verdict on a touch of a device that has installed itself."""

_DEVICE_KINDS = ("device:", "gaid:", "idfa:", "idfv:")


class Found(msgspec.Struct, frozen=True, array_like=True):
    """A touch, and the identifiers of the conversion under which it was found."""

    touch: Touch
    identifiers: list[str]


class FoundPrior(msgspec.Struct, frozen=True, array_like=True):
    """An earlier conversion, and the identifiers under which it was found."""

    prior: Prior
    identifiers: list[str]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided, with every candidate and its verdict."""

    method: str
    confidence: float = 1.0
    touch: Touch | None = None
    identifier: str | None = None
    window_ms: int | None = None
    reattribution: bool = False
    inherited_from: str | None = None
    candidates: list[Candidate] = []


def decide(
    conversion: Conversion,
    found: Mapping[str, Found],
    priors: Mapping[str, FoundPrior],
    claimed: Collection[str] = (),
    *,
    rules: Rules,
) -> Decision:
    """Decide one conversion.

    Args:
        conversion: what is to be attributed.
        found: the touches that its identifiers led to, by touch id.
        priors: earlier conversions of its identifiers, by conversion id.
        claimed: ids of touches of other devices, which have installed themselves: no fingerprint
            leads from them here.
        rules: windows and thresholds.

    Returns:
        `reinstall` with the first install's touch when the same device has installed before (and
        has not been silent so long that it is won anew); `inherited` with the touch of the install
        or of a re-engagement for an event after it; else the newest touch of the strongest match
        type within its window; else `organic`.
    """
    history = sorted(priors.values(), key=lambda one: (one.prior.at_ms, one.prior.conversion_id))
    candidates = _candidates(conversion, found, history, claimed, rules)
    own = [one for one in history if _is_own_device(conversion, one)]
    first = next((one.prior for one in own if one.prior.kind == "install"), None)
    if conversion.kind == "install" and first:
        silent_ms = conversion.at_ms - own[-1].prior.at_ms
        anew = _matched(candidates, rules)
        if silent_ms >= rules.reattribution_after_ms and anew.method != "organic":
            return msgspec.structs.replace(anew, reattribution=True)
        return _taken_over("reinstall", first, candidates)
    if conversion.kind == "event" and conversion.event not in rules.own_touch_events:
        source = _source(conversion, own, rules) or _source(conversion, history, rules)
        if source:
            return _taken_over("inherited", source, candidates)
    return _matched(candidates, rules)


def _source(conversion: Conversion, history: list[FoundPrior], rules: Rules) -> Prior | None:
    """The earlier conversion whose attribution an event inherits.

    The latest install, or the latest re-engagement by a touch while its window lasts.
    """
    since_ms = conversion.at_ms - rules.reengagement_window_ms
    for one in reversed(history):
        prior = one.prior
        if prior.kind == "install":
            return prior
        if prior.kind == "reengagement" and prior.touch and prior.at_ms >= since_ms:
            return prior
    return None


def _matched(candidates: list[Candidate], rules: Rules) -> Decision:
    """The first eligible candidate (they are ranked), and a verdict for each of the others."""
    chosen = next((one for one in candidates if one.verdict == ""), None)
    if chosen is None:
        return Decision(method="organic", candidates=candidates)
    return Decision(
        method=chosen.match_type,
        confidence=chosen.confidence,
        touch=chosen.touch,
        identifier=chosen.identifier,
        window_ms=rules.window_ms(chosen.match_type),
        candidates=[_judged(one, chosen) for one in candidates],
    )


def _candidates(
    conversion: Conversion,
    found: Mapping[str, Found],
    history: list[FoundPrior],
    claimed: Collection[str],
    rules: Rules,
) -> list[Candidate]:
    """Every touch as a candidate, strongest first; a verdict for those that cannot be chosen."""
    under: dict[str, list[Touch]] = {}
    for one in found.values():
        for identifier in one.identifiers:
            under.setdefault(identifier, []).append(one.touch)
    behind = {
        identifier: _devices(touches, conversion, rules)
        for identifier, touches in under.items()
        if is_probabilistic(identifier)
    }
    candidates = [
        _candidate(conversion, one, under, behind, history, claimed, rules)
        for one in found.values()
    ]
    candidates.sort(key=lambda one: _rank(one, rules))
    return _unambiguous(candidates, rules)


def _candidate(
    conversion: Conversion,
    one: Found,
    under: Mapping[str, list[Touch]],
    behind: Mapping[str, int],
    history: list[FoundPrior],
    claimed: Collection[str],
    rules: Rules,
) -> Candidate:
    own = conversion.identifiers
    identifier = min(
        one.identifiers,
        key=lambda i: (is_probabilistic(i), own.index(i) if i in own else len(own), i),
    )
    probabilistic = is_probabilistic(identifier)
    kind = "click" if one.touch.kind == "click" else "view"
    match_type = f"{kind}_{'probabilistic' if probabilistic else 'deterministic'}"
    sure = confidence(conversion, one.touch, behind=behind[identifier]) if probabilistic else 1.0
    age_ms = conversion.at_ms - one.touch.at_ms
    verdict, flags = "", list[str]()
    if probabilistic and one.touch.touch_id in claimed:
        verdict = ANOTHERS  # before all that rules have a say in: a replay is to know of it
    elif one.touch.at_ms > horizon_ms(conversion, rules):
        verdict = "after_conversion"
    elif probabilistic and not rules.probabilistic:
        verdict = "probabilistic_off"
    elif match_type not in rules.waterfall:
        verdict = "not_in_waterfall"
    elif age_ms > rules.window_ms(match_type):
        verdict = "outside_window"
    else:
        clicked = f"click:{one.touch.click_id}"
        rejected, flags = fraud.judge(
            fraud.Case(
                conversion=conversion,
                touch=one.touch,
                identifier=identifier,
                neighbours=under[identifier],
                installs_of_click=[
                    each.prior
                    for each in history
                    if clicked in each.identifiers
                    and each.prior.kind == "install"
                    and not _is_own_device(conversion, each)
                ],
                rules=rules.fraud,
                slack_ms=horizon_ms(conversion, rules) - conversion.at_ms,
            )
        )
        if rejected:
            verdict = f"fraud:{rejected}"
        elif probabilistic and sure < rules.min_confidence:
            verdict = "low_confidence"
    return Candidate(
        touch=one.touch,
        identifier=identifier,
        match_type=match_type,
        confidence=sure,
        verdict=verdict,
        flags=flags,
        identifiers=one.identifiers,
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


def _judged(one: Candidate, chosen: Candidate) -> Candidate:
    if one.verdict:
        return one
    if one.touch.touch_id == chosen.touch.touch_id:
        verdict = "chosen"
    elif one.match_type != chosen.match_type:
        verdict = "lower_class"
    else:
        verdict = "older"
    return msgspec.structs.replace(one, verdict=verdict)


def _taken_over(method: str, prior: Prior, candidates: list[Candidate]) -> Decision:
    return Decision(
        method=method,
        confidence=prior.confidence,
        touch=prior.touch,
        inherited_from=prior.conversion_id,
        candidates=[
            one if one.verdict else msgspec.structs.replace(one, verdict=method)
            for one in candidates
        ],
    )


def _rank(one: Candidate, rules: Rules) -> tuple[int, str, int, str]:
    order = rules.waterfall
    place = order.index(one.match_type) if one.match_type in order else len(order)
    return place, one.match_type, -one.touch.at_ms, one.touch.touch_id


def _is_own_device(conversion: Conversion, one: FoundPrior) -> bool:
    return any(i.startswith(_DEVICE_KINDS) and i in conversion.identifiers for i in one.identifiers)
