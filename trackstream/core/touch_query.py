"""The query of a tracking link, read.

Understood, in lower or upper case (macros that an ad network left unfilled, such as `{gaid}`, count
as absent):

    click_id, clickid                        the network's id of the click, else one is made
    user_id, device_id, gaid, idfa, idfv     whom it was
    channel, network, ad_group or adgroup    what the link registers stands, unless it lets a
                                             click name its own (`overridable`)
    creative, keyword, sub_publisher or sub_id
    timezone, screen                         of the page that links: Europe/Vienna, 1080x2400
    cost, currency                           in units of the currency, such as 0.25 and EUR
    UTM names, networks' click ids           see `core.campaigns`
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trackstream.core.campaigns import CLICK_ID, UTM_NAMES
from trackstream.core.identifiers import advertising_id
from trackstream.core.texts import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "RECURRING",
    "click_id_of",
    "cost_micros_of",
    "currency_of",
    "ids_of",
    "screen_of",
    "texts_of",
]

_CLICK_ID = re.compile(r"[A-Za-z0-9._~:=+-]{1,128}")
_MACRO = re.compile(r"[{}<>\[\]\x00-\x1f\x7f]|^\$|^__.*__$|^%%.*%%$")
_SCREEN = re.compile(r"([0-9]{2,5})[x*]([0-9]{2,5})")
_COST = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?")
_CURRENCY = re.compile(r"[A-Za-z]{3}")
_MAX_CHARS = 256
_READ = frozenset(
    {
        "ad_group", "adgroup", "channel", "creative", "keyword", "network", "sub_id",
        "sub_publisher", "timezone", "utm_term",
    }
)  # fmt: skip
"""Names in a query whose values are taken as text."""
RECURRING = _READ.union(UTM_NAMES, ("cost", "currency", "screen"))
"""Names in a query of what comes again with each click on the same ad."""


def click_id_of(query: Mapping[str, str]) -> str | None:
    """The click id that the query gives, if it can be one."""
    for name in ("click_id", "clickid", CLICK_ID):
        value = query.get(name)
        if value and _CLICK_ID.fullmatch(value):
            return value
    return None


def texts_of(query: Mapping[str, str]) -> dict[str, str]:
    """What is text that a touch has a field for, by name, without unfilled macros."""
    found = {}
    for name, value in query.items():
        text = _text(value) if name in _READ else None
        if text:
            found[name] = text
    return found


def _text(value: str | None) -> str | None:
    if not value or len(value) > _MAX_CHARS or _MACRO.search(value):
        return None
    return clean(value).strip()


def _usable(text: str | None) -> str | None:
    """An id in its own case, unless it is known to identify nobody."""
    return text if advertising_id(text) else None


_IDS = {
    "user_id": ("user:", _usable),
    "device_id": ("device:", _usable),
    "gaid": ("gaid:", advertising_id),
    "idfa": ("idfa:", advertising_id),
    "idfv": ("idfv:", advertising_id),
}
"""By name in the query: what the identifier begins with, and how the value is read."""


def ids_of(query: Mapping[str, str]) -> list[str]:
    """The identifiers of whom it was, without those that identify nobody."""
    if _IDS.keys().isdisjoint(query):
        return []
    found = []
    for name, (prefix, usable) in _IDS.items():
        value = usable(_text(query.get(name)))
        if value:
            found.append(f"{prefix}{value}")
    return found


def screen_of(query: Mapping[str, str]) -> str | None:
    """Width and height in pixels, the smaller first; None where it is none."""
    found = _SCREEN.fullmatch(query.get("screen", ""))
    if not found:
        return None
    small, large = sorted((int(found[1]), int(found[2])))
    return f"{small}x{large}"


def cost_micros_of(query: Mapping[str, str]) -> int | None:
    """What the touch cost, in millionths of the currency."""
    found = _COST.fullmatch(query.get("cost", ""))
    return int(found[1]) * 1_000_000 + int((found[2] or "").ljust(6, "0")) if found else None


def currency_of(query: Mapping[str, str]) -> str | None:
    """The currency's three letters."""
    value = query.get("currency")
    return value.upper() if value and _CURRENCY.fullmatch(value) else None
