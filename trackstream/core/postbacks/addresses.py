"""Where no postback may go: into the network of whoever runs this (SSRF).

Sources: the IANA special-purpose address registries, by `ipaddress`; OWASP, "Server-Side Request
Forgery Prevention".
"""

from __future__ import annotations

import ipaddress

__all__ = ["address_problem"]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})
"""Clouds' own services at addresses that look public (Azure's)."""


def address_problem(text: str) -> str | None:
    """Why nothing is sent to this address; None: it is a public one.

    IPv6 addresses that carry an IPv4 address are judged by that. What is no address in its one
    canonical spelling (`2130706433`, `127.1`) is refused: others would read one into it.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return f"{text} is no address"
    inner = _inside(address)
    if not inner.is_global or inner.is_multicast or inner in _METADATA:
        return f"{text} is not a public address"
    return None


def _inside(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address
