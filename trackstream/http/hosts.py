"""The hosts that requests are for."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11
from multidict import istr

from trackstream.core.addresses import address_of
from trackstream.core.reasons import Reason
from trackstream.http.problems import Refusal

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["host_refusal", "is_host"]

_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{1,5}))?")
_MAX_PORT = 65_535
_FIELD = istr("Host")


def host_refusal(request: web.BaseRequest) -> Refusal | None:
    """Why a request is not done whose Host is none (RFC 9112, section 3.2)."""
    given = request.headers.get(_FIELD)
    if is_host(given) if given is not None else request.version < HttpVersion11:
        return None
    return Refusal(Reason.MALFORMED_REQUEST, "`Host` has to be one name or address, and its port")


@lru_cache(1_024)
def is_host(text: str) -> bool:
    """Whether this can stand in the field Host: a name or address, and a port if there is one.

    Source: RFC 9110, section 7.2. Stricter than RFC 3986: no escapes, no user.
    """
    found = _HOST.fullmatch(text)
    if found is None:
        return False
    address, port = found[2], found[3]
    return (address is None or address_of(address) is not None) and int(port or 0) <= _MAX_PORT
