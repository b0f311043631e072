"""The hosts that requests are for."""

from __future__ import annotations

import re
from functools import lru_cache

from trackstream.core.addresses import address_of

__all__ = ["is_host"]

_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[([0-9A-Fa-f:.]{2,45})\])(?::(\d{1,5}))?")
_MAX_PORT = 65_535


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
