"""Who the made-up people are: some alone on their network, some with hundreds of others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackstream.core.lookups import Place

if TYPE_CHECKING:
    from random import Random

    from trackstream.cli.simulation.people import Agents

__all__ = ["EMULATOR", "LISTED", "Somebody", "carrier", "home", "place", "rented", "somebody"]

_LOCALES = ["de-DE", "de-AT", "en-GB", "en-US", "fr-FR", "es-ES", "it-IT", "pl-PL"]
LISTED = "203.0.113.0/24"
"""On the app's list; nobody lives there (RFC 5737)."""
_RENTED = "192.0.2."
"""The same, in a data centre."""
_HOSTER = 16_509
"""Amazon's autonomous system."""
EMULATOR = (
    "Mozilla/5.0 (Linux; Android 14; sdk_gphone64_x86_64) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/124.0.6367.82 Mobile Safari/537.36"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """A person with a device, or a device that only looks like a person's."""

    name: str
    """Of the device."""
    person: str
    """Whose it is."""
    address: str
    user_agent: str
    locale: str

    @property
    def device_id(self) -> str:
        """Of the app on the device."""
        return f"{self.name}-device"

    @property
    def advertising_id(self) -> str:
        """What ad networks know the device by."""
        return f"{self.name}-ad"

    @property
    def user_id(self) -> str:
        """As whom the person logs in."""
        return f"{self.person}-user"

    @property
    def cookie_id(self) -> str:
        """Of the device's browser."""
        return f"{self.name}-cookie"


def somebody(
    name: str,
    rng: Random,
    agents: Agents,
    *systems: str,
    address: str | None = None,
    person: str | None = None,
) -> Somebody:
    """A person with a device of one of the systems (`android`, `ios`, `desktop`), any phone."""
    return Somebody(
        name=name,
        person=person or name,
        address=address or home(name),
        user_agent=agents.pick(rng, *(systems or ("android", "ios"))),
        locale=rng.choice(_LOCALES),
    )


def home(name: str) -> str:
    """An address (RFC 4193) in a network (/64) that only those have who share the name."""
    raw = hashlib.blake2b(name.encode(), digest_size=7).hexdigest()
    return f"fd{raw[:2]}:{raw[2:6]}:{raw[6:10]}:{raw[10:14]}::1"


def carrier(number: int) -> str:
    """The one address of a carrier's NAT."""
    return f"100.{64 + number // 250 % 64}.{number % 250}.7"


def rented(number: int) -> str:
    """The address of a machine in a data centre."""
    return f"{_RENTED}{1 + number % 250}"


def place(address: str | None) -> Place:
    """What a database of networks knows of it."""
    return Place(asn=_HOSTER) if (address or "").startswith(_RENTED) else Place()
