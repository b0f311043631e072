"""The decision: which touch, if any, brought a conversion. A pure function of all that is known."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import msgspec

from trackstream.core.identifiers import is_probabilistic
from trackstream.core.records import Candidate, Prior, Touch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackstream.core.records import Conversion
    from trackstream.core.rules import Rules

__all__ = ["WATERFALL", "Decision", "Found", "FoundPrior", "confidence", "decide"]

WATERFALL = (
    "click_deterministic",
    "click_probabilistic",
    "view_deterministic",
    "view_probabilistic",
)
"""Match types, strongest first. The order is that of the measurement partners' documentation."""

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
    inherited_from: str | None = None
    candidates: list[Candidate] = []


def decide(
    conversion: Conversion,
    found: Mapping[str, Found],
    priors: Mapping[str, FoundPrior],
    *,
    rules: Rules,
) -> Decision:
    """Decide one conversion.

    Args:
        conversion: what is to be attributed.
        found: the touches that its identifiers led to, by touch id.
        priors: earlier conversions of its identifiers, by conversion id.
        rules: windows and thresholds.

    Returns:
        `reinstall` with the first install's touch when the same device has installed before;
        `inherited` with the install's touch for an event after an install; else the newest touch
        of the strongest match type within its window; else `organic`.
    """
    candidates = [_candidate(conversion, one, rules) for one in found.values()]
    candidates.sort(key=_rank)
    installs = sorted(
        (one for one in priors.values() if one.prior.kind == "install"),
        key=lambda one: (one.prior.at_ms, one.prior.conversion_id),
    )
    same_device = [one for one in installs if _is_own_device(conversion, one)]
    if conversion.kind == "install" and same_device:
        return _taken_over("reinstall", same_device[0].prior, candidates)
    if conversion.kind == "event" and installs:
        return _taken_over("inherited", (same_device or installs)[-1].prior, candidates)
    eligible = [one for one in candidates if one.verdict == ""]
    if not eligible:
        return Decision(method="organic", candidates=candidates)
    chosen = eligible[0]
    judged = [_judged(one, chosen) for one in candidates]
    return Decision(
        method=chosen.match_type,
        confidence=chosen.confidence,
        touch=chosen.touch,
        identifier=chosen.identifier,
        window_ms=_window_ms(chosen.match_type, rules),
        candidates=judged,
    )


def confidence(conversion: Conversion, touch: Touch) -> float:
    """How sure it is, between 0 and 1, that both come from one device, told by its surroundings.

    The address weighs most: the same address 0.6, the same network 0.25. OS version, model and
    language add when they agree, and half of that when either side does not say.
    """
    score = 0.6 if _same_address(conversion.ip, touch.ip) else 0.25
    for mine, theirs, weight in (
        (conversion.os_version, touch.os_version, 0.2),
        (conversion.device_model, touch.device_model, 0.1),
        (_language(conversion.language), _language(touch.language), 0.1),
    ):
        if mine is None or theirs is None:
            score += weight / 2
        elif mine.lower() == theirs.lower():
            score += weight
    return round(score, 4)


def _candidate(conversion: Conversion, one: Found, rules: Rules) -> Candidate:
    own = conversion.identifiers
    identifier = min(
        one.identifiers,
        key=lambda i: (is_probabilistic(i), own.index(i) if i in own else len(own), i),
    )
    probabilistic = is_probabilistic(identifier)
    kind = "click" if one.touch.kind == "click" else "view"
    match_type = f"{kind}_{'probabilistic' if probabilistic else 'deterministic'}"
    sure = confidence(conversion, one.touch) if probabilistic else 1.0
    age_ms = conversion.at_ms - one.touch.at_ms
    verdict = ""
    if age_ms < 0:
        verdict = "after_conversion"
    elif one.touch.bot:
        verdict = "bot"
    elif probabilistic and not rules.probabilistic:
        verdict = "probabilistic_off"
    elif age_ms > _window_ms(match_type, rules):
        verdict = "outside_window"
    elif probabilistic and sure < rules.min_confidence:
        verdict = "low_confidence"
    return Candidate(
        touch=one.touch,
        identifier=identifier,
        match_type=match_type,
        confidence=sure,
        verdict=verdict,
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
        touch=prior.touch,
        inherited_from=prior.conversion_id,
        candidates=[
            one if one.verdict else msgspec.structs.replace(one, verdict=method)
            for one in candidates
        ],
    )


def _rank(one: Candidate) -> tuple[int, int, str]:
    return WATERFALL.index(one.match_type), -one.touch.at_ms, one.touch.touch_id


def _is_own_device(conversion: Conversion, one: FoundPrior) -> bool:
    return any(i.startswith(_DEVICE_KINDS) and i in conversion.identifiers for i in one.identifiers)


def _window_ms(match_type: str, rules: Rules) -> int:
    return {
        "click_deterministic": rules.click_window_ms,
        "click_probabilistic": rules.click_probabilistic_window_ms,
        "view_deterministic": rules.view_window_ms,
        "view_probabilistic": rules.view_probabilistic_window_ms,
    }[match_type]


def _same_address(a: str | None, b: str | None) -> bool:
    if a is None or b is None:
        return False
    try:
        return _plain(ipaddress.ip_address(a)) == _plain(ipaddress.ip_address(b))
    except ValueError:
        return False


def _plain(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return getattr(address, "ipv4_mapped", None) or address


def _language(locale: str | None) -> str | None:
    """`de-AT`, `de_AT` and `de-AT,de;q=0.8` all speak `de`."""
    if not locale:
        return None
    return locale.split(",")[0].split(";")[0].replace("_", "-").split("-")[0].strip().lower()
