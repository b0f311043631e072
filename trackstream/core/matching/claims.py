"""Whose a touch is: one that an install's own device made is no other device's.

A fingerprint leads to everybody's touches behind an address. When the device of one of them has
installed itself and says so, by the click id that the store has handed it or by a device id, then
that touch can have brought nobody else there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.core.identifiers import is_probabilistic
from trackstream.core.matching.bounds import kept
from trackstream.core.records import Claim, Claimed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.core.matching.candidates import Found
    from trackstream.core.records import Conversion

__all__ = ["claims", "more", "until"]

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
    told: dict[str, list[Claimed]] = {}
    for each in found:
        if own.isdisjoint(each.identifiers):
            continue
        touch = each.touch
        claimed = Claimed(touch_id=touch.touch_id, kind=touch.kind, at_ms=touch.at_ms)
        for one in filter(is_probabilistic, touch.identifiers):
            told.setdefault(one, []).append(claimed)
    return [
        Claim(
            app_id=conversion.app_id,
            identifier=one,
            conversion_id=conversion.conversion_id,
            claimed=sorted(told[one], key=lambda each: each.touch_id),
        )
        for one in sorted(told)
    ]


def until(at_ms: int, claimed: Iterable[Claimed]) -> list[Claimed]:
    """Those of the claimed touches that were made by then, epoch milliseconds."""
    return [one for one in claimed if one.at_ms <= at_ms]


def more(known: list[Claimed], come: Iterable[Claimed], most: int) -> list[Claimed]:
    """What is known with what has come; kept as touches are: none is kept whose claim is not."""
    by_id = {one.touch_id: one for one in (*known, *come)}
    return known if len(by_id) == len(known) else kept(by_id.values(), most)
