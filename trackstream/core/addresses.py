"""Addresses as they are compared: IPv4 inside IPv6 (RFC 4291, section 2.5.5.2) is IPv4."""

from __future__ import annotations

import ipaddress

__all__ = ["Address", "Network", "address_of", "network_of"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED_BITS = 96
"""How long the prefix is of all IPv4 inside IPv6, `::ffff:0:0`."""


def address_of(text: str | None) -> Address | None:
    """The address in this text; None when there is none or it is malformed."""
    if not text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def network_of(text: str, *, strict: bool = True) -> Network:
    """The network in this text (CIDR, or one address).

    Args:
        text: the network.
        strict: refuse a network whose address has bits set behind its prefix.

    Raises:
        ValueError: it is none.
    """
    network = ipaddress.ip_network(text, strict=strict)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
