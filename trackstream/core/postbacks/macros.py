"""The macros of postback templates: what an attribution has to say, by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from trackstream.core.identifiers import CLICK, DEVICES, FINGERPRINT
from trackstream.core.texts import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trackstream.core.records import Attribution, Candidate, Earlier

__all__ = ["FRAUD", "MACROS", "REJECTED", "Value", "event_of", "values_of", "written"]

Value: TypeAlias = str | int | Decimal | None
"""Text, an exact number, or nothing."""

FRAUD = "fraud:"
"""What the verdict on a candidate begins with that a fraud rule has rejected; its name follows."""
REJECTED = "rejected"
"""The method that whoever is told of a rejection is told."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def event_of(attribution: Attribution) -> str:
    """What networks are told has happened: `install`, `reinstall`, or the event's name.

    A reinstall is a name of its own, so that nobody is told of (or paid for) an install twice.
    """
    if attribution.kind == "install":
        return "reinstall" if attribution.method == "reinstall" else "install"
    return attribution.event


def values_of(
    attribution: Attribution,
    *,
    rejected: Candidate | None = None,
    campaign_name: str | None = None,
) -> dict[str, Value]:
    """Every macro's value.

    Args:
        attribution: What was decided.
        rejected: The candidate whose network is told that it was rejected: it speaks in place of
            the touch that got the credit, and nothing is said of that one.
        campaign_name: The campaign's name for people, as its tracking link was registered; else
            the touch's `utm_campaign` is taken for it.
    """
    if rejected is not None:
        attribution = msgspec.structs.replace(
            attribution, touch=rejected.touch, confidence=rejected.confidence
        )
    found: dict[str, Value] = {name: read(attribution) for name, read in _PLAIN.items()}
    if rejected is not None:
        found |= {
            "method": REJECTED,
            "match_type": rejected.match_type,
            "rejection_reason": _reason(rejected),
        }
    found["campaign"] = campaign_name or found["campaign"]
    for name, read_ms in _TIMES.items():
        at_ms = read_ms(attribution)
        found[name] = None if at_ms is None else at_ms // 1000
        found[f"{name}_ms"] = at_ms
        found[f"{name}_iso"] = None if at_ms is None else _iso(at_ms)
    return {name: clean(v) if isinstance(v, str) else v for name, v in found.items()}


def written(value: Value) -> str:
    """The value as text: empty for nothing, numbers without exponent or needless zeros."""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return "" if value is None else str(value)


def _of_touch(name: str) -> Callable[[Attribution], Value]:
    def read(attribution: Attribution) -> Value:
        value: Value = getattr(attribution.touch, name) if attribution.touch else None
        return value

    return read


def _of_attribution(name: str) -> Callable[[Attribution], Value]:
    def read(attribution: Attribution) -> Value:
        value: Value = getattr(attribution, name)
        return value

    return read


def _identifier(kind: str) -> Callable[[Attribution], Value]:
    """The conversion's own, else the one that the network itself gave with its touch."""
    prefix = f"{kind}:"

    def read(attribution: Attribution) -> Value:
        known = [*attribution.identifiers, *(attribution.touch or _NOBODY).identifiers]
        found = (one.removeprefix(prefix) for one in known if one.startswith(prefix))
        return next(found, None)

    return read


class _NOBODY:
    identifiers: tuple[str, ...] = ()


def _campaign(attribution: Attribution) -> Value:
    campaign = attribution.touch.campaign if attribution.touch else None
    return campaign.utm_campaign if campaign else None


def _revenue(attribution: Attribution) -> Value:
    micros = attribution.revenue_micros
    return None if micros is None else Decimal(micros).scaleb(-6)


def _match_type(attribution: Attribution) -> Value:
    return attribution.method if attribution.method.startswith(("click_", "view_")) else None


def _rejection_reason(attribution: Attribution) -> Value:
    """Why the strongest candidate got no credit, where nobody did."""
    if attribution.touch is not None or not attribution.candidates:
        return None
    return _reason(attribution.candidates[0])


def _reason(candidate: Candidate) -> str | None:
    return candidate.verdict.removeprefix(FRAUD) or None


def _install_ms(attribution: Attribution) -> int | None:
    """When the app was installed, as `raw_data_export` has it.

    Of what inherits from an install that one's; else the latest install before it of its device,
    else of its person: as `core.matching.decide` has it of what an event inherits.
    """
    if attribution.kind == "install":
        return attribution.at_ms
    earlier = {one.conversion_id: one for one in attribution.earlier}
    source = earlier.get(attribution.inherited_from or "")
    if source is None and attribution.inherited_at_ms is not None:
        return attribution.inherited_at_ms
    if source is not None and source.kind == "install":
        return source.at_ms
    own = set(attribution.identifiers)
    is_web = attribution.conversion is not None and attribution.conversion.web

    def nearness(one: Earlier) -> int:
        shared = own.intersection(one.identifiers)
        if any(each.startswith(DEVICES) for each in shared):
            return 2
        if is_web:
            return int(any(each.startswith("cookie:") for each in shared))
        return int(not all(each.startswith((CLICK, FINGERPRINT)) for each in one.identifiers))

    near = ((nearness(one), one.at_ms) for one in attribution.earlier if one.kind == "install")
    _, at_ms = max((one for one in near if one[0]), default=(0, None))
    return at_ms


def _click_ms(attribution: Attribution) -> int | None:
    return attribution.touch.at_ms if attribution.touch else None


def _event_ms(attribution: Attribution) -> int | None:
    return attribution.at_ms


def _iso(at_ms: int) -> str:
    at = _EPOCH + timedelta(milliseconds=at_ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_PLAIN: Mapping[str, Callable[[Attribution], Value]] = {
    **{
        name: _of_touch(name)
        for name in (
            "click_id",
            "campaign_id",
            "channel",
            "network",
            "ad_group",
            "creative",
            "sub_publisher",
            "ip",
        )
    },
    **{name: _identifier(name) for name in ("gaid", "idfa", "idfv")},
    "device_id": _identifier("device"),
    "user_id": _identifier("user"),
    **{
        name: _of_attribution(name)
        for name in ("country", "currency", "method", "conversion_id", "revision", "app_id")
    },
    "campaign": _campaign,
    "event": event_of,
    "revenue": _revenue,
    "match_type": _match_type,
    "confidence": lambda attribution: Decimal(str(attribution.confidence)),
    "rejection_reason": _rejection_reason,
}

_TIMES: Mapping[str, Callable[[Attribution], int | None]] = {
    "install_time": _install_ms,
    "event_time": _event_ms,
    "click_time": _click_ms,
}

MACROS: frozenset[str] = frozenset(_PLAIN) | {
    f"{name}{unit}" for name in _TIMES for unit in ("", "_ms", "_iso")
}
"""Every macro's name. Times are epoch seconds, `_ms` milliseconds, `_iso` RFC 3339 in UTC."""
