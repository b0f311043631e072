"""What a Segment message says of its user's consent, in the words of our own events.

Segment's consent object holds true and false by category, and its apps' libraries say of the device
whether its system lets itself be tracked. Sources: Segment's Consent spec; `context.device` of
Segment's and RudderStack's libraries; Apple, `ATTrackingManager.AuthorizationStatus`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackstream.core.segment_origin import object_in

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["consent_in", "denials_of"]

_MOST = 64
_NAME_CHARS = 64
"""What our own validation takes of `context.consent`."""

_NO = frozenset({"0", "false", "no"})
_REFUSED = frozenset({"denied", "restricted"})
_REFUSED_NUMBERS = frozenset({"1", "2"})
"""`restricted` and `denied`, as Apple numbers them and RudderStack's libraries send them."""


def denials_of(device: Mapping[str, Any]) -> dict[str, bool]:
    """What the device's system denies, as flags of `context.consent`: only false ones.

    What it allows is nobody's consent: `adTrackingEnabled` is true where nobody was asked.
    """
    found: dict[str, bool] = {}
    if _word(device.get("adTrackingEnabled")) in _NO:
        found["ad_tracking"] = False
    if (
        _word(device.get("trackingStatus")) in _REFUSED
        or _word(device.get("attTrackingStatus")) in _REFUSED | _REFUSED_NUMBERS
    ):
        found["att"] = False
    return found


def consent_in(context: Mapping[str, Any], left: dict[str, Any]) -> dict[str, bool]:
    """The flags of `context.consent`; a denial wins over what the same message allows.

    Args:
        context: Segment's.
        left: gets, as `consent`, what cannot be understood.
    """
    denied = denials_of(object_in(context, "device"))
    value = context.get("consent")
    if type(value) is not dict:
        if value is not None:
            left["consent"] = value
        return denied
    given = object_in(value, "categoryPreferences")
    usable = {
        name: one
        for name, one in given.items()
        if type(one) is bool and len(name) <= _NAME_CHARS and name not in denied
    }
    # Of too many, what is denied stays.
    kept = dict(sorted(usable.items(), key=_allowed)[: _MOST - len(denied)])
    rest = dict(value)
    if given:
        del rest["categoryPreferences"]
        unread = {name: one for name, one in given.items() if name not in kept | denied}
        rest |= {"categoryPreferences": unread} if unread else {}
    if rest:
        left["consent"] = rest
    return {**kept, **denied}


def _allowed(flag: tuple[str, bool]) -> bool:
    return flag[1]


def _word(value: object) -> str:
    """False, 1 and "Denied" alike as text; empty for what is neither text, number nor truth."""
    if isinstance(value, bool | int):
        return str(int(value))
    return value.strip().lower() if isinstance(value, str) else ""
