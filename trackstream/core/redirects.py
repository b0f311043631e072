"""Where a click is sent: one of its link's registered destinations, and nowhere else.

Our click id and the visit's marks (UTM names, networks' click ids) are handed on:

- to a web page, a universal link or the App Store as parameters of the query: the click id as
  `trackstream_click_id`, the marks under their own names;
- to Google Play inside its one parameter `referrer`, a URL-encoded string of the same parameters,
  which the Install Referrer API hands to the app at its first open.

A destination keeps its own query and fragment as registered; a mark that it names itself keeps the
registered value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus, urlencode

from trackstream.core.campaigns import CLICK_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["destination_of", "location_of"]

_PLAY = ("https://play.google.com/", "http://play.google.com/", "market://")
_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~"


def destination_of(
    os_name: str | None, *, web_url: str, android_url: str | None, ios_url: str | None
) -> str:
    """The registered destination for an operating system; the web page where there is no other."""
    system = (os_name or "").lower()
    if android_url and system.startswith("android"):
        return android_url
    if ios_url and system in {"ios", "ipados"}:
        return ios_url
    return web_url


def location_of(destination: str, *, click_id: str, marks: Mapping[str, str]) -> str:
    """The destination with the click id and the marks added; only ASCII, fit for a header."""
    head, sharp, fragment = destination.partition("#")
    base, _, query = head.partition("?")
    handed_on = {**marks, CLICK_ID: click_id}
    if destination.startswith(_PLAY):
        query = _with_referrer(query, handed_on)
    else:
        query = _with_parameters(query, handed_on)
    return quote(f"{base}?{query}{sharp}{fragment}", safe=_AS_IT_IS, errors="replace")


def _with_parameters(query: str, handed_on: Mapping[str, str]) -> str:
    """The query as it is, but for an old click id, and behind it what it does not name itself."""
    parts = [part for part in query.split("&") if part and _name(part) != CLICK_ID]
    named = {_name(part) for part in parts}
    added = [(name, value) for name, value in handed_on.items() if name not in named]
    return "&".join([*parts, urlencode(added, errors="replace")])


def _with_referrer(query: str, handed_on: Mapping[str, str]) -> str:
    parts = [part for part in query.split("&") if part]
    registered = next((part for part in parts if _name(part) == "referrer"), "")
    inner = _with_parameters(unquote_plus(registered.partition("=")[2]), handed_on)
    kept = [part for part in parts if part is not registered]
    return "&".join([*kept, "referrer=" + quote(inner, safe="", errors="replace")])


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])
