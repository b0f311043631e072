"""Whether an address is in one of some networks."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

__all__ = ["Networks", "address_of"]

_MAPPED = "::ffff:"
_REMEMBERED = 65_536


def address_of(text: str) -> str | None:
    """An address in its usual form, without zone and not mapped into IPv6; None if it is none."""
    plain = text.partition("%")[0]
    plain = plain.lower().removeprefix(_MAPPED) if "." in plain else plain
    try:
        return str(ipaddress.ip_address(plain))
    except ValueError:
        return None


class Networks:
    """A set of networks, as settings write it: `10.0.0.0/8,2001:db8::/32`."""

    def __init__(self, text: str) -> None:
        networks = [ipaddress.ip_network(part) for part in text.split(",") if part]

        @lru_cache(_REMEMBERED)
        def contains(address: str) -> bool:
            found = address_of(address)
            if found is None:
                return False
            parsed = ipaddress.ip_address(found)
            return any(parsed in network for network in networks)

        self._contains = contains if networks else lambda _: False
        self._some = bool(networks)

    def __bool__(self) -> bool:
        return self._some

    def __contains__(self, address: str | None) -> bool:
        return address is not None and self._contains(address)
