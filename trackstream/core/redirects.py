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

import re
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, quote_plus, unquote_plus

import idna

from trackstream.core.campaigns import CLICK_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["destination_of", "location_of"]

_PLAY = "play.google.com"
_WEB = frozenset({"http", "https"})
_PLACE = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*):(?://((?:[^/?#]*@)?)([^/?#@]*?)(:[0-9]*)?(?=[/?#]|$))?"
)
"""A URL's beginning: scheme, and user, host and port if it has them."""
_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~"
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
"""What quoting leaves as it is: most values."""


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
    page = _parted(destination)
    handed_on = {**marks, CLICK_ID: click_id}
    if page.referrer is None:
        return f"{page.before}{_added(page.named, handed_on)}{page.after}"
    inner = page.referrer + _added(page.named, handed_on)
    return f"{page.before}{quote(inner, safe='', errors='replace')}{page.after}"


class _Parted(NamedTuple):
    """A registered destination, ready for what is added to its query."""

    before: str
    """Up to what is added, which ends in `?`, `&` or `referrer=`."""
    named: frozenset[str]
    """The names that are registered with a value of their own."""
    referrer: str | None
    """What Play's referrer begins with; None for other pages."""
    after: str
    """The fragment, with its `#`."""


@lru_cache(maxsize=4_096)
def _parted(destination: str) -> _Parted:
    """The same for each click on a link, and half of what a redirect would cost."""
    destination, host = _placed(destination)
    head, sharp, fragment = destination.partition("#")
    base, _, query = head.partition("?")
    after = _ascii(f"{sharp}{fragment}")
    parts = [part for part in query.split("&") if part]
    if host != _PLAY:
        kept, named = _kept(query)
        return _Parted(_ascii(f"{base}?{kept}"), named, None, after)
    registered = next((part for part in parts if _name(part) == "referrer"), "")
    inner, named = _kept(unquote_plus(registered.partition("=")[2]))
    others = [part for part in parts if part is not registered]
    before = "&".join([*others, "referrer="])
    return _Parted(_ascii(f"{base}?{before}"), named, inner, after)


def _placed(destination: str) -> tuple[str, str]:
    """The destination with its host as DNS has it (IDNA, RFC 5891), and that in lower case.

    Google Play's own scheme has Google Play for its host.
    """
    found = _PLACE.match(destination)
    scheme = found[1].lower() if found else ""
    if found is None or scheme not in _WEB:
        return destination, _PLAY if scheme == "market" else ""
    host = found[3] or ""
    if not host.isascii():
        with suppress(idna.IDNAError):  # then it is percent-encoded as the rest is
            host = idna.encode(host, uts46=True).decode()
    begin = f"{found[1]}://{found[2] or ''}{host}{found[4] or ''}"
    return begin + destination[found.end() :], host.lower()


def _kept(query: str) -> tuple[str, frozenset[str]]:
    """A query without an old click id, ready for more, and the names in it."""
    parts = [part for part in query.split("&") if part and _name(part) != CLICK_ID]
    return "".join(f"{part}&" for part in parts), frozenset(map(_name, parts))


def _added(named: frozenset[str], handed_on: Mapping[str, str]) -> str:
    """The parameters that are not `named`."""
    pairs = list(handed_on.items())
    if not named.isdisjoint(handed_on):
        pairs = [pair for pair in pairs if pair[0] not in named]
    if not _PLAIN.fullmatch("".join([value for _, value in pairs])):
        pairs = [(name, quote_plus(value, errors="replace")) for name, value in pairs]
    return "&".join([f"{name}={value}" for name, value in pairs])


def _ascii(text: str) -> str:
    return quote(text, safe=_AS_IT_IS, errors="replace")


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])
