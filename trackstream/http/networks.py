"""Whether an address is in one of some networks."""

from __future__ import annotations

from functools import lru_cache

from trackstream.core import addresses

__all__ = ["Networks", "address_of"]

_REMEMBERED = 65_536


@lru_cache(_REMEMBERED)
def address_of(text: str) -> str | None:
    """An address in its usual form, without zone and not mapped into IPv6; None if it is none."""
    address = addresses.address_of(text.partition("%")[0])
    return None if address is None else str(address)


class Networks:
    """A set of networks, as settings write it: `10.0.0.0/8,2001:db8::/32`."""

    def __init__(self, text: str) -> None:
        networks = [addresses.network_of(part) for part in text.split(",") if part]

        @lru_cache(_REMEMBERED)
        def contains(text: str) -> bool:
            address = addresses.address_of(text.partition("%")[0])
            return address is not None and any(address in network for network in networks)

        self._contains = contains
        self._some = bool(networks)

    def __bool__(self) -> bool:
        return self._some

    def __contains__(self, address: str | None) -> bool:
        return self._some and address is not None and self._contains(address)
