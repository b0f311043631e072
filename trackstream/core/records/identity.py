"""What identifiers are asked and told: the records of `identity` and `candidates`."""

from __future__ import annotations

from trackstream.core.records.base import Record
from trackstream.core.records.sent import Campaign

__all__ = [
    "Answer",
    "Claim",
    "Claimed",
    "Conversion",
    "Link",
    "Outcome",
    "Prior",
    "Probe",
    "Touch",
]


class Touch(Record, frozen=True, kw_only=True):
    """A click or an impression, as the collector saw it. Written once under each identifier."""

    touch_id: str
    app_id: str
    kind: str
    """`click` or `impression`."""
    at_ms: int
    identifiers: list[str]
    click_id: str
    link_id: str | None = None
    campaign_id: str | None = None
    channel: str | None = None
    network: str | None = None
    ad_group: str | None = None
    creative: str | None = None
    keyword: str | None = None
    sub_publisher: str | None = None
    campaign: Campaign | None = None
    destination: str | None = None
    deep_link: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    os_name: str | None = None
    os_version: str | None = None
    device_model: str | None = None
    language: str | None = None
    timezone: str | None = None
    screen: str | None = None
    """Width and height in pixels, the smaller first: `1080x2400`."""
    country: str | None = None
    bot: bool = False
    cost_micros: int | None = None
    currency: str | None = None


class Link(Record, frozen=True, kw_only=True):
    """Two identifiers were seen together; written under both, each naming the other."""

    app_id: str
    identifier: str
    other: str
    at_ms: int


class Conversion(Record, frozen=True, kw_only=True):
    """Something to be attributed: an install, or an event that the app's rules declare."""

    conversion_id: str
    app_id: str
    kind: str
    """`install`, `reengagement` or `event`."""
    event: str
    event_id: str
    at_ms: int
    received_at_ms: int | None = None
    subject: str
    person: str
    identifiers: list[str]
    """Its own identifiers, preferred first."""
    click_id: str | None = None
    install_begin_at_ms: int | None = None
    ip: str | None = None
    os_name: str | None = None
    os_version: str | None = None
    device_model: str | None = None
    language: str | None = None
    timezone: str | None = None
    screen: str | None = None
    country: str | None = None
    bot: bool = False
    revenue_micros: int | None = None
    currency: str | None = None
    campaign_id: str | None = None
    """The campaign that it names itself, with a click id or without."""
    web: bool = False
    """It came from a browser, not from an app."""
    latest_at_ms: int | None = None
    """By the collector's clock it happened no later than this."""
    server_times: bool = False
    """When the install began is told by the store's servers, not by the device."""
    asn: int | None = None
    """Number of its address's autonomous system."""


class Probe(Record, frozen=True, kw_only=True):
    """A conversion asks the owner of one identifier what it knows."""

    app_id: str
    identifier: str
    conversion: Conversion
    depth: int
    """Links between the conversion's own identifiers (0) and this one."""


class Outcome(Record, frozen=True, kw_only=True):
    """What was decided of a conversion, told to its identifiers' owners or to its subject."""

    app_id: str
    identifier: str
    conversion_id: str
    kind: str
    at_ms: int
    revision: int
    method: str
    touch: Touch | None = None
    confidence: float = 1.0


class Claimed(Record, frozen=True, kw_only=True):
    """A touch that came from the device of an install."""

    touch_id: str
    kind: str
    at_ms: int


class Claim(Record, frozen=True, kw_only=True):
    """Touches that came from an install's own device, told to a fingerprint they are found by."""

    app_id: str
    identifier: str
    conversion_id: str
    """The install's."""
    claimed: list[Claimed]


class Prior(Record, frozen=True, kw_only=True):
    """An earlier conversion of an identifier, with what was decided of it so far."""

    conversion_id: str
    kind: str
    at_ms: int
    revision: int = 0
    """0: not decided yet."""
    method: str | None = None
    touch: Touch | None = None
    confidence: float = 1.0


class Answer(Record, frozen=True, kw_only=True):
    """What the owner of one identifier answers to a probe, or sends after it: `candidates`."""

    conversion: Conversion
    identifier: str
    depth: int | None = None
    """The probe's depth; None when this is news that came after the answer."""
    touches: list[Touch] = []
    links: list[str] = []
    priors: list[Prior] = []
    claimed: list[Claimed] = []
    """Touches that are known to be of other devices; see `Claim`."""
