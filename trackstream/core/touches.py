"""Clicks and impressions: a link, what its request shows and its query, to a `Touch`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import msgspec

from trackstream.core.campaigns import NETWORK_CLICK_IDS, campaign_of, marks
from trackstream.core.identifiers import fingerprint, scoped
from trackstream.core.lookups import UserAgent
from trackstream.core.records import Touch
from trackstream.core.touch_query import (
    RECURRING,
    click_id_of,
    cost_micros_of,
    currency_of,
    ids_of,
    screen_of,
    texts_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = [
    "OVERRIDABLE",
    "OWN",
    "LinkFacts",
    "Visit",
    "identifiers_of",
    "keys_of",
    "language_of",
    "print_of",
    "recurring_of",
    "subject_among",
    "subject_of_touch",
    "touch_of",
]

_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
OVERRIDABLE = ("channel", "network", "ad_group")
"""What a link registers, and may let each click name otherwise."""
_SUBJECTS = ("device:", "cookie:", "user:", "gaid:", "idfa:", "idfv:")
"""Identifiers that an event's subject can be, preferred first: see `core.envelopes`."""
OWN = ("touch_id", "at_ms", "identifiers", "click_id", "campaign.click_ids", "ip")
"""Fields of a touch that differ from one click on an ad to the next."""


class LinkFacts(Protocol):
    """What a registered tracking link says of its touches."""

    @property
    def link_id(self) -> str:
        """Its id."""

    @property
    def app_id(self) -> str:
        """The app that it advertises."""

    @property
    def campaign_id(self) -> str:
        """Its campaign."""

    @property
    def channel(self) -> str | None:
        """Its channel, such as `paid_social`."""

    @property
    def network(self) -> str | None:
        """The ad network that it was made for."""

    @property
    def ad_group(self) -> str | None:
        """Its ad group."""

    @property
    def overridable(self) -> Collection[str]:
        """Of `OVERRIDABLE`, what a click's query may name otherwise."""

    @property
    def deep_link(self) -> str | None:
        """Where in the app the first open leads."""


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """What the request for a link or a pixel shows of its sender."""

    at_ms: int
    ip: str | None
    user_agent: str | None
    agent: UserAgent
    language: str | None
    cookie_id: str | None
    country: str | None = None
    objects: bool = False
    """Whether it says that its user does not want to be tracked (`Sec-GPC`, `DNT`)."""


def language_of(accept_language: str | None) -> str | None:
    """The most wanted language of an Accept-Language header (RFC 9110, section 12.5.4)."""
    found = _LANGUAGE.match((accept_language or "").strip())
    return found[0] if found else None


def touch_of(
    kind: str,
    link: LinkFacts,
    visit: Visit,
    query: Mapping[str, str],
    *,
    touch_id: str,
    click_id: str,
    destination: str | None,
) -> Touch:
    """The touch. `query` has lower-case names; `kind` is `click` or `impression`.

    An impression is found by a click id only when the network gave it one, since the redirect
    hands none on.
    """
    given = texts_of(query)
    free = link.overridable
    channel = _first("channel" in free, link.channel, given.get("channel"))
    found = marks(query)
    return Touch(
        touch_id=touch_id,
        app_id=link.app_id,
        kind=kind,
        at_ms=visit.at_ms,
        identifiers=identifiers_of(kind, visit, query, click_id=click_id),
        click_id=click_id,
        link_id=link.link_id,
        campaign_id=link.campaign_id,
        channel=channel,
        network=_first("network" in free, link.network, given.get("network")),
        ad_group=_first(
            "ad_group" in free, link.ad_group, given.get("ad_group") or given.get("adgroup")
        ),
        creative=given.get("creative"),
        keyword=given.get("keyword") or given.get("utm_term"),
        sub_publisher=given.get("sub_publisher") or given.get("sub_id"),
        campaign=campaign_of(found, campaign_id=link.campaign_id, channel=channel)
        if found
        else None,
        destination=destination,
        deep_link=link.deep_link,
        ip=visit.ip,
        user_agent=visit.user_agent,
        os_name=visit.agent.os_name,
        os_version=visit.agent.os_version,
        device_model=visit.agent.device_model,
        language=visit.language,
        timezone=given.get("timezone"),
        screen=screen_of(query),
        country=visit.country,
        bot=visit.agent.bot,
        cost_micros=cost_micros_of(query),
        currency=currency_of(query),
    )


def identifiers_of(
    kind: str, visit: Visit, query: Mapping[str, str], *, click_id: str
) -> list[str]:
    """What the touch can be found by, preferred first; see `touch_of`. It is never empty.

    Where nothing is known, it is counted under a click id that nobody is told.
    """
    found = []
    if kind == "click" or click_id_of(query) == click_id:
        found.append(f"click:{click_id}")
    found += ids_of(query)
    if visit.cookie_id:
        found.append(f"cookie:{visit.cookie_id}")
    print_ = print_of(visit)
    if print_:
        found.append(print_)
    return found or [f"click:{click_id}"]


def print_of(visit: Visit) -> str | None:
    """The fingerprint by which the touch can be found; None for whoever objects to that."""
    return None if visit.objects else fingerprint(visit.ip, visit.agent.os_name)


def recurring_of(query: Mapping[str, str]) -> tuple[str, ...]:
    """What of the query a touch has beside its identifiers and networks' click ids.

    Two clicks on one link, with the same agent, language and country, in whose queries this is the
    same, differ only in the fields that are `OWN`.
    """
    found = []
    is_marked = ""
    for name, value in query.items():
        if name in RECURRING:
            found += [name, value]
        elif name in NETWORK_CLICK_IDS:
            is_marked = "marked"  # it has a campaign for them to be in
    return (is_marked, *found)


def keys_of(touch: Touch) -> list[str]:
    """The keys of `identity` under which the touch is written: one for each identifier."""
    return [scoped(touch.app_id, identifier) for identifier in touch.identifiers]


def subject_of_touch(touch: Touch) -> str | None:
    """The key of `raw` under which `enrich` learns of the touch: whose events it may lead to.

    None for one that is known by its click id or a fingerprint alone.
    """
    identifier = subject_among(touch.identifiers)
    return identifier and scoped(touch.app_id, identifier)


def subject_among(identifiers: Sequence[str]) -> str | None:
    """The identifier that an event's subject can be, if there is one."""
    found = [one for one in identifiers if one.startswith(_SUBJECTS)]
    if len(found) < 2:
        return found[0] if found else None
    return min(found, key=_preference)


def _preference(identifier: str) -> int:
    kind, colon, _ = identifier.partition(":")
    return _SUBJECTS.index(kind + colon)


def _first(free: bool, registered: str | None, given: str | None) -> str | None:  # noqa: FBT001 - private
    return given or registered if free else registered or given
