"""What is looked up about an event: where its address is, what its user agent says."""

from __future__ import annotations

import msgspec

__all__ = ["Place", "UserAgent"]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an address is, as far as the database knows."""

    country: str | None = None
    """ISO 3166-1 alpha-2."""
    region: str | None = None
    city: str | None = None
    timezone: str | None = None
    """IANA name."""
    asn: int | None = None
    """Number of the autonomous system, RFC 6793."""
    asn_organization: str | None = None
    """Who holds it."""


class UserAgent(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed user agent string."""

    browser: str | None = None
    browser_version: str | None = None
    os_name: str | None = None
    os_version: str | None = None
    device_brand: str | None = None
    device_model: str | None = None
    form_factor: str | None = None
    """One of `form_factors.FORM_FACTORS`."""
    bot: bool = False
