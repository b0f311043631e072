"""The decision: which touch, if any, brought a conversion. A pure function of all that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackstream.core.identifiers import CLICK, DEVICES, FINGERPRINT
from trackstream.core.matching.candidates import (
    Found,
    FoundPrior,
    candidates_of,
    shares,
    touch_id_of,
)
from trackstream.core.records import Candidate, Conversion, Prior, Touch

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trackstream.core.rules import Rules

__all__ = ["Decision", "decide"]

_NOBODYS = (CLICK, FINGERPRINT)
"""Identifiers by which two conversions are not one person's: a click id is handed on, too."""


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
    confidences: Mapping[str, float] | None = None,
) -> Decision:
    """Decide one conversion.

    Args:
        conversion: what is to be attributed.
        found: the touches that its identifiers led to, by touch id.
        priors: earlier conversions of its identifiers, by conversion id.
        claimed: ids of touches of other devices, which have installed themselves: no fingerprint
            leads from them here.
        rules: windows and thresholds.
        confidences: of touches found by a fingerprint, where what they are compared by is gone.

    Returns:
        `reinstall` with the touch of the install before when the same device has installed (and has
        not been silent so long that it is won anew); `inherited` with the touch of the install or
        of a re-engagement for an app's event after it; else the newest touch of the strongest match
        type within its window; else `organic`. What comes from the web inherits from nothing that
        an app did, and a re-engagement is by the click or the campaign that it names.
    """
    history = sorted(priors.values(), key=lambda one: (one.prior.at_ms, one.prior.conversion_id))
    own = [one for one in history if shares(conversion, one, DEVICES)]
    candidates = candidates_of(
        conversion, found, history, claimed, rules=rules, confidences=confidences or {}
    )
    before = next((one.prior for one in reversed(own) if one.prior.kind == "install"), None)
    if conversion.kind == "install" and before:
        silent_ms = conversion.at_ms - own[-1].prior.at_ms
        anew = _matched(candidates, rules)
        if silent_ms >= rules.reattribution_after_ms and anew.method != "organic":
            return msgspec.structs.replace(anew, reattribution=True)
        return _taken_over("reinstall", before, candidates)
    if conversion.kind == "event" and conversion.event not in rules.own_touch_events:
        source = _inherited(conversion, own, history, rules)
        if source:
            return _taken_over("inherited", source, candidates)
    return _matched(candidates, rules)


def _inherited(
    conversion: Conversion, own: list[FoundPrior], history: list[FoundPrior], rules: Rules
) -> Prior | None:
    """The earlier conversion whose attribution an event inherits: of its device, else its person.

    A browser is the device of what happens on the web, where something was installed in it.
    """
    if conversion.web:
        persons = [one for one in history if shares(conversion, one, "cookie:")]
    else:
        persons = [one for one in history if not all(map(_is_nobodys, one.identifiers))]
    return _source(conversion, own, rules) or _source(conversion, persons, rules)


def _source(conversion: Conversion, history: list[FoundPrior], rules: Rules) -> Prior | None:
    """The latest install, or the latest re-engagement by a touch while its window lasts.

    A reinstall does not end that: it has the touch of the install before.
    """
    since_ms = conversion.at_ms - rules.reengagement_window_ms
    latest: Prior | None = None
    for place, one in reversed(list(enumerate(history))):
        prior = one.prior
        if prior.kind == "reengagement" and prior.touch and prior.at_ms >= since_ms:
            return prior
        if prior.kind == "install":
            latest = latest or prior
            if not _is_again(one, history[:place]):
                break
    return latest


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


def _is_again(install: FoundPrior, earlier: list[FoundPrior]) -> bool:
    """Whether it is one more of the same device, with the touch of the one before."""
    devices = {one for one in install.identifiers if one.startswith(DEVICES)}
    return any(
        one.prior.kind == "install"
        and not devices.isdisjoint(one.identifiers)
        and touch_id_of(one.prior) == touch_id_of(install.prior)
        for one in earlier
    )


def _is_nobodys(identifier: str) -> bool:
    return identifier.startswith(_NOBODYS)
