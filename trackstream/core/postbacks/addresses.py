"""Where no postback may go: into the network of whoever runs this (SSRF).

Sources: the IANA special-purpose address registries, by `ipaddress`; IANA, "Internet Protocol
Version 6 Address Space"; OWASP, "Server-Side Request Forgery Prevention".
"""

from __future__ import annotations

import ipaddress

__all__ = ["address_problem"]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
"""Of IPv6 only this was ever given out to the internet. `ipaddress` takes more for global: NAT64 of
a network's own (RFC 8215) and site-local addresses, some of it in some versions of Python alone."""
_DOCUMENTATION = ipaddress.ip_network("3fff::/20")
"""RFC 9637, which not every Python knows."""
_METADATA = frozenset({ipaddress.IPv4Address("168.63.129.16")})
"""Clouds' own services at addresses that look public (Azure's)."""


def address_problem(text: str) -> str | None:
    """Why nothing is sent to this address; None: it is a public one.

    IPv6 addresses that stand for an IPv4 address are judged by that. What is no address in its one
    canonical spelling (`2130706433`, `127.1`) is refused: others would read one into it.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return f"{text} is no address"
    return None if _is_public(address) else f"{text} is not a public address"


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and address not in _METADATA
    if address in _NAT64:
        return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    if address.ipv4_mapped is not None:
        return _is_public(address.ipv4_mapped)
    if address.sixtofour is not None and not _is_public(address.sixtofour):
        return False
    # Teredo's are not global, whatever address is in them.
    return address in _UNICAST and address.is_global and address not in _DOCUMENTATION
