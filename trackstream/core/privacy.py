"""What of an address leaves the workers: matching, fraud rules and places need it whole before.

A fingerprint goes with it: it is a hash of the network and the system, of which there are so few
that all can be tried.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Literal

import msgspec

from trackstream.core.addresses import address_of
from trackstream.core.identifiers import FINGERPRINT, is_probabilistic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.core.records import Attribution, Event, Touch

__all__ = ["IpPrivacy", "kept_ip", "private_attribution", "private_event"]

IpPrivacy = Literal["full", "truncated", "dropped"]

_KEPT_BITS = {4: 24, 6: 48}
"""As the large analytics services truncate: an IPv4 network of 256, an IPv6 site."""


def kept_ip(ip: str | None, privacy: IpPrivacy) -> str | None:
    """The address as it may be kept. What is no address is kept only if all is."""
    if ip is None or privacy == "full":
        return ip
    if privacy == "dropped":
        return None
    address = address_of(ip)
    if address is None:
        return None
    bits = _KEPT_BITS[address.version]
    return str(ipaddress.ip_network((address, bits), strict=False).network_address)


def private_event(event: Event, privacy: IpPrivacy) -> Event:
    """The event as it may be published."""
    if event.ip is None or privacy == "full":
        return event
    return msgspec.structs.replace(event, ip=kept_ip(event.ip, privacy))


def private_attribution(attribution: Attribution, privacy: IpPrivacy) -> Attribution:
    """The decision as it may be published, with all that it was made of.

    Fingerprints are left out; where one is what a touch was found by, the bare word stays.
    """
    if privacy == "full":
        return attribution

    def touch(one: Touch) -> Touch:
        return msgspec.structs.replace(
            one, ip=kept_ip(one.ip, privacy), identifiers=_known(one.identifiers)
        )

    conversion = attribution.conversion
    if conversion is not None:
        conversion = msgspec.structs.replace(
            conversion,
            ip=kept_ip(conversion.ip, privacy),
            identifiers=_known(conversion.identifiers),
        )
    return msgspec.structs.replace(
        attribution,
        conversion=conversion,
        identifiers=_known(attribution.identifiers),
        unanswered=_words(attribution.unanswered),
        identifier=attribution.identifier and _word(attribution.identifier),
        touch=touch(attribution.touch) if attribution.touch else None,
        candidates=[
            msgspec.structs.replace(
                one,
                touch=touch(one.touch),
                identifier=_word(one.identifier),
                identifiers=_words(one.identifiers),
            )
            for one in attribution.candidates
        ],
        earlier=[
            msgspec.structs.replace(one, identifiers=_words(one.identifiers))
            for one in attribution.earlier
        ],
    )


def _known(identifiers: Iterable[str]) -> list[str]:
    return [one for one in identifiers if not is_probabilistic(one)]


def _words(identifiers: Iterable[str]) -> list[str]:
    return [_word(one) for one in identifiers]


def _word(identifier: str) -> str:
    return FINGERPRINT if is_probabilistic(identifier) else identifier
