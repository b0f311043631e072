"""Whose a touch is: one that an install's own device made is no other device's.

A fingerprint leads to everybody's touches behind an address. When the device of one of them has
installed itself and says so, by the click id that the store has handed it or by a device id, then
that touch can have brought nobody else there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.core.identifiers import is_probabilistic
from trackstream.core.records import Claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trackstream.core.matching.decide import Found
    from trackstream.core.records import Conversion

__all__ = ["claims", "newest", "until"]

_PERSONS = "user:"
"""A person may have several devices, one of which has clicked and another installed."""


def claims(conversion: Conversion, found: Iterable[Found]) -> list[Claim]:
    """What the fingerprints of an install's own touches are told; nothing of other conversions.

    It follows from what was found alone, not from what is decided of it: so it only ever grows, and
    the order in which installs are decided makes no difference.
    """
    if conversion.kind != "install":
        return []
    own = {
        one
        for one in conversion.identifiers
        if not is_probabilistic(one) and not one.startswith(_PERSONS)
    }
    told: dict[str, dict[str, int]] = {}
    for each in found:
        if own.isdisjoint(each.identifiers):
            continue
        for one in filter(is_probabilistic, each.touch.identifiers):
            told.setdefault(one, {})[each.touch.touch_id] = each.touch.at_ms
    return [
        Claim(
            app_id=conversion.app_id,
            identifier=one,
            conversion_id=conversion.conversion_id,
            claimed=dict(sorted(told[one].items())),
        )
        for one in sorted(told)
    ]


def until(at_ms: int, claimed: Mapping[str, int]) -> dict[str, int]:
    """Those of the claimed touches that were made by then, epoch milliseconds."""
    return {touch_id: when_ms for touch_id, when_ms in claimed.items() if when_ms <= at_ms}


def newest(claimed: dict[str, int], most: int) -> dict[str, int]:
    """The last so many of them, in the order in which touches are kept."""
    if len(claimed) <= most:
        return claimed
    kept = sorted(claimed.items(), key=lambda one: (one[1], one[0]))[-most:]
    return dict(kept)
