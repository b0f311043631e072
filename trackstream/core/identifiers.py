"""Identifiers, subject and person: who an event, a touch or a conversion speaks of.

An identifier is a typed string (`device:abcd`), always inside one app; `scoped` adds the app.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from trackstream.core.addresses import address_of
from trackstream.core.texts import has_controls

if TYPE_CHECKING:
    from trackstream.core.records import RawEvent

__all__ = [
    "CLICK",
    "DEVICES",
    "FINGERPRINT",
    "KNOWN_BAD",
    "MAX_ID_CHARS",
    "advertising_id",
    "event_identifiers",
    "fingerprint",
    "is_app_id",
    "is_probabilistic",
    "person_identifiers",
    "person_of",
    "scoped",
    "subject_of",
    "usable_id",
]

CLICK = "click:"
"""What a click's own id begins with: of a touch, not of anybody."""
DEVICES = ("device:", "gaid:", "idfa:", "idfv:")
"""What identifiers of one device begin with, as an app knows them."""
FINGERPRINT = "fp:"
"""What a fingerprint begins with."""
MAX_ID_CHARS = 256
"""Length of an identifier."""

_APP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

KNOWN_BAD = frozenset(
    {
        # all zeros: tracking limited (Android 12+, iOS 14.5+)
        "00000000-0000-0000-0000-000000000000",
        "0" * 32,
        # shipped by emulators and by broken SDKs
        "9774d56d682e549c",
        "unknown",
        "null",
        "nil",
        "none",
        "undefined",
    }
)
"""Ids that identify nobody, in lower case."""

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")
"""An address in its one usual form: `ipaddress` takes no leading zeros either."""


def advertising_id(value: str | None) -> str | None:
    """The advertising or device id in lower case, or None when it identifies nobody."""
    if not value:
        return None
    text = value.strip().lower()
    return None if not text or text in KNOWN_BAD else text


def usable_id(text: str) -> str | None:
    """A user's id as validation takes it, without spaces around it; None if it identifies nobody.

    That is, what validation refuses (too long, with control characters) and what it ignores.
    """
    if len(text) > MAX_ID_CHARS or has_controls(text) or advertising_id(text) is None:
        return None
    return text.strip()


def is_app_id(text: str) -> bool:
    """Whether this can be an app's id: it is part of topics' keys, so it has no separators."""
    return _APP_ID.fullmatch(text) is not None


def scoped(app_id: str, identifier: str) -> str:
    """The identifier inside its app: the key under which its owner is found."""
    return f"{app_id}|{identifier}"


def subject_of(
    app_id: str, *, device_id: str | None, cookie_id: str | None, user_id: str | None
) -> str | None:
    """The key of `raw`: device, else cookie, else user, so that a log-in does not split a session.

    None when there is none of them.
    """
    for kind, value in (("device", device_id), ("cookie", cookie_id), ("user", user_id)):
        if value:
            return scoped(app_id, f"{kind}:{value}")
    return None


def person_of(
    *, user_id: str | None, device_id: str | None, cookie_id: str | None, subject: str
) -> str:
    """The key of the output topics: user, else device, else cookie, else the subject's own."""
    for kind, value in (("user", user_id), ("device", device_id), ("cookie", cookie_id)):
        if value:
            return f"{kind}:{value}"
    return subject.partition("|")[2]


def event_identifiers(event: RawEvent) -> list[str]:
    """The deterministic identifiers that an event carries, preferred first, each once."""
    click_id = event.referral.click_id if event.referral else None
    own = person_identifiers(event)
    return [f"{CLICK}{click_id}", *own] if click_id else own


def person_identifiers(event: RawEvent) -> list[str]:
    """Those of whom it speaks of: without the click id, which is a touch's."""
    found: list[str] = []
    if event.user_id:
        found.append(f"user:{event.user_id}")
    if event.device_id:
        found.append(f"device:{event.device_id}")
    for kind, value in (("gaid", event.gaid), ("idfa", event.idfa), ("idfv", event.idfv)):
        usable = advertising_id(value)
        if usable:
            found.append(f"{kind}:{usable}")
    if event.cookie_id:
        found.append(f"cookie:{event.cookie_id}")
    return found


@lru_cache(maxsize=65_536)
def fingerprint(ip: str | None, os_name: str | None) -> str | None:
    """The coarse probabilistic identifier: network prefix (/24, /64) and OS family.

    It only finds; `core.matching.decide` then compares the rest. None without a usable address.
    """
    network = _network_of(ip)
    if network is None or not os_name:
        return None
    digest = hashlib.blake2b(f"{network}|{os_name.lower()}".encode(), digest_size=12)
    return f"{FINGERPRINT}{digest.hexdigest()}"


def _network_of(ip: str | None) -> str | None:
    """The network that the address is in: /24, or /64 of IPv6."""
    if ip and _IPV4.fullmatch(ip):  # a tenth of what `ipaddress` costs, and the same
        return f"{ip.rpartition('.')[0]}.0/24"
    address = address_of(ip)
    if address is None:
        return None
    bits = 24 if address.version == 4 else 64
    return str(ipaddress.ip_network((address, bits), strict=False))


def is_probabilistic(identifier: str) -> bool:
    """Whether the identifier is a fingerprint, which several people may share."""
    return identifier.startswith(FINGERPRINT)
