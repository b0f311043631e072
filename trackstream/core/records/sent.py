"""What senders say: the records of `raw`."""

from __future__ import annotations

from trackstream.core.records.base import Record

__all__ = ["Campaign", "Context", "Envelope", "RawEvent", "Referral", "Tick"]


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
    device_type: str | None = None
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
    answered_ms: int | None = None
    """On `candidates`: up to when all that was asked has been answered. None: not known."""
