"""The records that travel on the topics: one class per schema in `schemas/`, field for field.

Times are epoch milliseconds (`_ms`), money is millionths of the currency unit (`_micros`), so that
sums are exact. `properties` and `extra` are JSON text: they are carried, not understood.
A test compares every class here with its Avro schema.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "Answer",
    "Attribution",
    "Campaign",
    "Candidate",
    "Context",
    "Conversion",
    "Credit",
    "Earlier",
    "Envelope",
    "Event",
    "LastTouch",
    "Link",
    "Outcome",
    "PersonLink",
    "Prior",
    "Probe",
    "RawEvent",
    "Referral",
    "Rejected",
    "Session",
    "Tick",
    "Touch",
]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything on a topic: immutable, keyword-only."""


class Campaign(Record, frozen=True, kw_only=True):
    """Where a visit says that it came from: campaign fields, UTM names, networks' click ids."""

    campaign_id: str | None = None
    channel: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None
    click_ids: dict[str, str] = {}
    """Networks' own click ids by parameter name (gclid, fbclid, …)."""


class Context(Record, frozen=True, kw_only=True):
    """What the sender knows of its app, device and page."""

    app_version: str | None = None
    os_name: str | None = None
    os_version: str | None = None
    device_model: str | None = None
    device_manufacturer: str | None = None
    locale: str | None = None
    timezone: str | None = None
    screen_width: int | None = None
    screen_height: int | None = None
    page_url: str | None = None
    page_referrer: str | None = None
    page_title: str | None = None
    sdk: str | None = None
    consent: dict[str, bool] = {}
    extra: str | None = None
    """Everything else of the context, as JSON text."""


class Referral(Record, frozen=True, kw_only=True):
    """What an install says of where it came from; the store's own timestamps when it gave them.

    Source: Google Play Install Referrer API (`referrer_click_timestamp_seconds`,
    `install_begin_timestamp_seconds`).
    """

    click_id: str | None = None
    campaign_id: str | None = None
    install_referrer: str | None = None
    referrer_click_at_ms: int | None = None
    install_begin_at_ms: int | None = None
    server_times: bool = False
    """The store's times are its servers', not the device's."""


class RawEvent(Record, frozen=True, kw_only=True):
    """One event as accepted by the collector, before enrichment."""

    event_id: str
    event: str
    timestamp_ms: int
    user_id: str | None = None
    device_id: str | None = None
    cookie_id: str | None = None
    gaid: str | None = None
    idfa: str | None = None
    idfv: str | None = None
    session_id: str | None = None
    properties: str = "{}"
    campaign: Campaign | None = None
    context: Context | None = None
    referral: Referral | None = None


class Envelope(Record, frozen=True, kw_only=True):
    """One POST's events of one subject from one address: the value of `raw`."""

    app_id: str
    subject: str
    received_at_ms: int
    sent_at_ms: int | None = None
    ip: str | None = None
    user_agent: str | None = None
    events: list[RawEvent]


class Tick(Record, frozen=True, kw_only=True):
    """Time as a message: sent by each worker to the partitions that it owns."""

    at_ms: int


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


class Prior(Record, frozen=True, kw_only=True):
    """An earlier conversion of an identifier, with what was decided of it so far."""

    conversion_id: str
    kind: str
    at_ms: int
    revision: int = 0
    """0: not decided yet."""
    method: str | None = None
    touch: Touch | None = None


class Answer(Record, frozen=True, kw_only=True):
    """What the owner of one identifier answers to a probe, or sends after it: `candidates`."""

    conversion: Conversion
    identifier: str
    depth: int | None = None
    """The probe's depth; None when this is news that came after the answer."""
    touches: list[Touch] = []
    links: list[str] = []
    priors: list[Prior] = []


class Candidate(Record, frozen=True, kw_only=True):
    """One touch that was considered, with what was decided of it and why."""

    touch: Touch
    identifier: str
    """The identifier by which it was found."""
    match_type: str
    """`click_` or `view_`, then `deterministic` or `probabilistic`."""
    confidence: float
    verdict: str
    """`chosen`, or why not: `older`, `lower_class`, `outside_window`, `fraud:` and its rule, …"""
    flags: list[str] = []
    """Fraud rules that noticed it and do not reject."""
    identifiers: list[str] = []
    """Every identifier by which it was found."""


class Earlier(Record, frozen=True, kw_only=True):
    """An earlier conversion that a decision took into account."""

    conversion_id: str
    kind: str
    at_ms: int
    identifiers: list[str]
    """Every identifier by which it was found."""


class Credit(Record, frozen=True, kw_only=True):
    """One touch's share of a conversion under one model."""

    model: str
    touch_id: str
    campaign_id: str | None = None
    channel: str | None = None
    share_millionths: int
    """The shares of one model sum to 1,000,000 exactly."""
    revenue_micros: int | None = None


class Attribution(Record, frozen=True, kw_only=True):
    """A decision, one record per revision: the value of `attributions`."""

    conversion_id: str
    revision: int
    app_id: str
    person: str
    subject: str
    kind: str
    event: str
    event_id: str
    at_ms: int
    decided_at_ms: int
    method: str
    """A match type, `organic`, `reinstall` or `inherited`."""
    confidence: float
    touch: Touch | None = None
    identifier: str | None = None
    window_ms: int | None = None
    reattribution: bool = False
    """A reinstall that is attributed anew, after long inactivity."""
    inherited_from: str | None = None
    """The conversion whose attribution this one takes over."""
    inherited_at_ms: int | None = None
    """When that conversion was."""
    candidates: list[Candidate] = []
    credits: list[Credit] = []
    """What every enabled multi-touch model gives to each touch."""
    unanswered: list[str] = []
    """Identifiers whose owner had not answered when the decision was made."""
    rules_version: str
    previous_method: str | None = None
    previous_touch_id: str | None = None
    country: str | None = None
    revenue_micros: int | None = None
    currency: str | None = None
    identifiers: list[str] = []
    """The conversion's own identifiers, preferred first."""
    conversion: Conversion | None = None
    """All that is known of the conversion itself: with the candidates and the earlier conversions,
    it can be decided again under other rules."""
    earlier: list[Earlier] = []
    """The earlier conversions that the decision took into account."""


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
