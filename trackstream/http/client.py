"""What a request says of who sends it, as text that can be stored."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trackstream.core.texts import clean
from trackstream.http.networks import address_of

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["COOKIE", "client_ip", "cookie_of", "header"]

COOKIE = "trackstream_id"
"""The tracking cookie: a random id, set by tracking links on their own domain."""

_COOKIE = re.compile(rf"(?:^|;)\s*{COOKIE}=\"?([A-Za-z0-9_-]{{16,64}})\"?\s*(?:;|$)")


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
    """The tracking cookie's id, if there is one of ours."""
    found = _COOKIE.search(request.headers.get("Cookie", ""))
    return found[1] if found else None
