"""Addresses as they are compared: IPv4 inside IPv6 (RFC 4291, section 2.5.5.2) is IPv4."""

from __future__ import annotations

import ipaddress

__all__ = ["Address", "address_of"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


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
