"""What else comes out: the records of `events`, `sessions`, `persons` and `rejected`."""

from __future__ import annotations

from trackstream.core.records.base import Record
from trackstream.core.records.sent import Campaign, Context, Referral

__all__ = ["Event", "LastTouch", "PersonLink", "Rejected", "Session"]


class LastTouch(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The touch by which an event's subject came last, as far as was known when it was enriched."""

    touch_id: str
    kind: str
    """`click` or `impression`."""
    at_ms: int
    campaign_id: str | None = None
    ad_group: str | None = None
    creative: str | None = None
    keyword: str | None = None
    channel: str | None = None
    network: str | None = None
    method: str | None = None
    """How a conversion was attributed to it, if that is how it is known to be the subject's."""


class Event(Record, frozen=True, kw_only=True):
    """An enriched event: the value of `events`."""

    event_id: str
    app_id: str
    event: str
    timestamp_ms: int
    """Event time, corrected for the device's clock."""
    client_timestamp_ms: int
    received_at_ms: int
    late: bool = False
    person: str
    subject: str
    session_id: str
    user_id: str | None = None
    device_id: str | None = None
    cookie_id: str | None = None
    properties: str = "{}"
    revenue_micros: int | None = None
    """What it brings in, see `core.money`; a refund is negative."""
    currency: str | None = None
    campaign: Campaign | None = None
    context: Context | None = None
    referral: Referral | None = None
    ip: str | None = None
    user_agent: str | None = None
    browser: str | None = None
    browser_version: str | None = None
    os_name: str | None = None
    os_version: str | None = None
    device_brand: str | None = None
    device_model: str | None = None
    form_factor: str | None = None
    """`phone`, `tablet`, `desktop`, `tv`, `console`, `watch` or `other`."""
    bot: bool = False
    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None
    asn: int | None = None
    """Number of the address's autonomous system."""
    asn_organization: str | None = None
    referrer_type: str | None = None
    """`search`, `social`, `email`, `paid`, `direct`, `ai_assistant`, `internal` or `unknown`."""
    referrer_name: str | None = None
    """Who sent the visitor: a service's name, else a host's."""
    touch: LastTouch | None = None


class Session(Record, frozen=True, kw_only=True):
    """A session so far: the value of `sessions`. The highest revision of a session_id counts."""

    session_id: str
    revision: int
    app_id: str
    person: str
    subject: str
    status: str
    """`open`, `closed`, or `merged`: a late event joined it to `merged_into`, which now counts."""
    merged_into: str | None = None
    client_session_id: str | None = None
    """The client's own id of it, where the rules honour such ids."""
    started_at_ms: int
    ended_at_ms: int
    duration_ms: int
    event_count: int
    page_views: int
    bounced: bool
    """A single event, and no conversion."""
    conversions: int
    conversion_names: list[str] = []
    """Names of the events that were conversions, each once, in order of the alphabet."""
    revenue_micros: dict[str, int] = {}
    """Sums of its events' by currency, for different ones cannot be added; unknown is the empty
    text."""
    entry_page: str | None = None
    exit_page: str | None = None
    campaign: Campaign | None = None
    browser: str | None = None
    os_name: str | None = None
    device_model: str | None = None
    form_factor: str | None = None
    country: str | None = None
    city: str | None = None
    bot: bool = False
    clock_error_ms: int = 0
    """What was added to the device's times, as far as is known of its clock by now."""


class PersonLink(Record, frozen=True, kw_only=True):
    """Two identifiers are, or may be, one person's: the value of `persons`.

    Who is whom follows from the set of these (`user_id_map` in the warehouse has it worked out):
    anonymous identifiers that were seen together are the first user's that was named with any of
    them; users are one person only by `alias`.
    """

    app_id: str
    kind: str
    """`identified`: `identifier`, an anonymous one, was seen with the user `other`. `together`: two
    anonymous ones were seen in one event. `alias`: the user `identifier` is now called `other`."""
    identifier: str
    other: str
    at_ms: int
    """Of the event that says so. The earliest of several counts."""


class Rejected(Record, frozen=True, kw_only=True):
    """Something refused, with the original: the value of `rejected`."""

    rejected_id: str
    app_id: str | None = None
    stage: str
    """`collector`, `enrich`, `match`, `attribute` or `warehouse`."""
    reasons: list[str]
    detail: str
    payload: bytes
    """The original bytes, as received."""
    content_type: str | None = None
    received_at_ms: int
    version: str
    """The version of the program that refused it."""
    origin: str | None = None
    """Where the payload can be sent again: a path of the collector's, such as `/v1/event`, or a
    topic without its prefix."""
    key: str | None = None
    """The message's key, if the origin is a topic."""
    ip: str | None = None
    user_agent: str | None = None
    """From whom it came, where the payload does not say it itself."""
