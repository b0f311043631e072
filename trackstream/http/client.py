"""What a request says of who sends it, as text that can be stored."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import hdrs
from multidict import istr

from trackstream.core.texts import clean
from trackstream.http.networks import address_of

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["COOKIE", "client_ip", "cookie_of", "header", "is_prefetch", "objects"]

COOKIE = "trackstream_id"
"""The tracking cookie: a random id, set by tracking links on their own domain."""

_COOKIE = re.compile(rf"(?:^|;)\s*{COOKIE}=\"?([A-Za-z0-9_-]{{16,64}})\"?\s*(?:;|$)")

_SEC_GPC, _DNT = istr("Sec-GPC"), istr("DNT")
_PURPOSES = tuple(map(istr, ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")))
_AHEAD = re.compile(r"(?<![a-z])(?:prefetch|prerender|preview)(?![a-z])", re.IGNORECASE)


def client_ip(request: web.Request) -> str | None:
    """The address of the client: the peer's. None on a Unix socket.

    The one place that decides it; forwarding headers are claims and not looked at.
    """
    remote = request.remote
    return address_of(remote) if remote else None


def header(request: web.Request, name: str, max_chars: int) -> str | None:
    """A header's value, cleaned and cut at `max_chars`; None when absent or empty."""
    value = request.headers.get(name)
    return clean(value[:max_chars]) if value else None


def cookie_of(request: web.Request) -> str | None:
    """The tracking cookie's id, if there is one of ours and the browser does not object to it."""
    cookies = request.headers.get(hdrs.COOKIE)
    found = _COOKIE.search(cookies) if cookies else None
    return found[1] if found and not objects(request) else None


def objects(request: web.Request) -> bool:
    """Whether the browser says that its user does not want to be tracked.

    Source: Global Privacy Control, https://www.w3.org/TR/gpc/ (`Sec-GPC: 1`); Tracking Preference
    Expression, https://www.w3.org/TR/tracking-dnt/ (`DNT: 1`), which it came after.
    """
    stated = request.headers.get
    return "1" in (stated(_SEC_GPC, "").strip(), stated(_DNT, "").strip())


def is_prefetch(request: web.Request) -> bool:
    """Whether nobody has clicked yet: HEAD, or what fetches ahead or to show a preview.

    Source: Fetch standard, `Sec-Purpose`; the others are older names of it: `Purpose` of Chrome
    and Safari, `X-Purpose` of Safari, `X-Moz` of Firefox.
    """
    if request.method == "HEAD":
        return True
    stated = filter(None, map(request.headers.get, _PURPOSES))
    return any(map(_AHEAD.search, stated))
