"""Records as rows: one tuple a row, its values in the order of the columns named beside it.

Times stay milliseconds and money stays millionths here; the INSERT converts (`staging`).
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from trackstream.core.records import Campaign, Context, Touch
from trackstream.storage.warehouse.json_values import as_json, given, json_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.core.records import Attribution, Event, PersonLink, Rejected, Session

__all__ = [
    "ATTRIBUTION_COLUMNS",
    "CREDIT_COLUMNS",
    "DAY_MS",
    "EVENT_COLUMNS",
    "PERSON_LINK_COLUMNS",
    "REJECTED_COLUMNS",
    "REVISION_COLUMNS",
    "SESSION_COLUMNS",
    "Row",
    "attribution_row",
    "credit_rows",
    "event_row",
    "person_link_row",
    "rejected_row",
    "revision_row",
    "session_row",
]

Row = tuple[Any, ...]

DAY_MS = 86_400_000


def _getter(fields: dict[str, str]) -> Callable[[Any], Row]:
    getter: Callable[[Any], Row] = attrgetter(*fields.values())
    return getter


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_NO_CAMPAIGN = Campaign()
_CAMPAIGN = _same(
    "campaign_id", "channel", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"
)
_campaign = _getter(_CAMPAIGN)

_NO_CONTEXT = Context()
_CONTEXT = _same("app_version", "page_url", "page_referrer", "page_title")
_context = _getter(_CONTEXT)
_CONTEXT_REST = [name for name in Context.__struct_fields__ if name not in _CONTEXT]

_EVENT = {
    **_same("app_id", "event_id", "event"),
    "event_at": "timestamp_ms",
    "client_at": "client_timestamp_ms",
    "received_at": "received_at_ms",
    **_same("late", "person", "subject", "session_id", "user_id", "device_id", "cookie_id"),
    "revenue": "revenue_micros",
    **_same("currency", "ip", "user_agent", "browser", "browser_version", "os_name", "os_version"),
    **_same("device_brand", "device_model", "form_factor", "bot"),
    **_same("country", "region", "city", "timezone"),
    **_same("asn", "asn_organization"),
    **_same("referrer_type", "referrer_name"),
}
_event = _getter(_EVENT)
_LAST_TOUCH = {
    "touch_id": "touch_id",
    "touch_kind": "kind",
    "touched_at": "at_ms",
    "touch_campaign_id": "campaign_id",
    "touch_channel": "channel",
    "touch_network": "network",
    "touch_method": "method",
}
_last_touch = _getter(_LAST_TOUCH)
_NO_LAST_TOUCH = (None,) * len(_LAST_TOUCH)
EVENT_COLUMNS = (
    *_EVENT,
    *_CAMPAIGN,
    *_CONTEXT,
    *_LAST_TOUCH,
    "event_day",
    "properties",
    "click_ids",
    "context",
    "referral",
)


def event_row(event: Event) -> Row:
    """The row of `fact_events`."""
    campaign = event.campaign
    context = event.context
    return (
        *_event(event),
        *_campaign(campaign or _NO_CAMPAIGN),
        *_context(context or _NO_CONTEXT),
        *(_last_touch(event.touch) if event.touch else _NO_LAST_TOUCH),
        event.timestamp_ms // DAY_MS,
        json_text(event.properties),
        as_json(campaign.click_ids) if campaign and campaign.click_ids else None,
        _context_rest(context) if context else None,
        as_json(given(event.referral)) if event.referral else None,
    )


_SESSION = {
    **_same("app_id", "session_id", "revision", "person", "subject", "status", "merged_into"),
    "client_session_id": "client_session_id",
    "started_at": "started_at_ms",
    "ended_at": "ended_at_ms",
    **_same("duration_ms", "event_count", "page_views", "bounced", "conversions"),
    **_same("entry_page", "exit_page", "browser", "os_name", "device_model", "form_factor"),
    **_same("country", "city", "bot", "clock_error_ms"),
}
_session = _getter(_SESSION)
_REVENUE = ("conversion_names", "revenue", "currency", "revenues")
SESSION_COLUMNS = (*_SESSION, *_CAMPAIGN, *_REVENUE)


def session_row(session: Session) -> Row:
    """The row of `fact_sessions`."""
    return (
        *_session(session),
        *_campaign(session.campaign or _NO_CAMPAIGN),
        as_json(session.conversion_names),
        *_revenue(session.revenue_micros),
    )


def _revenue(micros: dict[str, int]) -> Row:
    """The amount and its currency, if there is but one, and all of them as JSON."""
    if not micros:
        return 0, None, None
    amounts = ", ".join(
        f"{as_json(currency)}: {Decimal(amount).scaleb(-6):f}"
        for currency, amount in micros.items()
    )
    alone = next(iter(micros.items())) if len(micros) == 1 else (None, None)
    return alone[1], alone[0] or None, f"{{{amounts}}}"


_ATTRIBUTION = {
    **_same("app_id", "conversion_id", "revision", "person", "subject", "kind", "event"),
    "event_id": "event_id",
    "converted_at": "at_ms",
    "decided_at": "decided_at_ms",
    **_same("method", "confidence", "identifier", "window_ms", "reattribution"),
    **_same("inherited_from", "rules_version"),
    "country": "country",
    "revenue": "revenue_micros",
    "currency": "currency",
}
_attribution = _getter(_ATTRIBUTION)

_TOUCH = {
    "touch_id": "touch_id",
    "touch_kind": "kind",
    "touched_at": "at_ms",
    **_same("click_id", "link_id", "campaign_id", "channel", "network", "ad_group", "creative"),
    **_same("keyword", "sub_publisher"),
    "cost": "cost_micros",
    "cost_currency": "currency",
}
_touch = _getter(_TOUCH)
_NO_TOUCH: Row = (None,) * len(_TOUCH)
ATTRIBUTION_COLUMNS = (*_ATTRIBUTION, *_TOUCH)


def attribution_row(attribution: Attribution) -> Row:
    """The row of `attributions`."""
    touch = attribution.touch
    return (*_attribution(attribution), *(_touch(touch) if touch else _NO_TOUCH))


CREDIT_COLUMNS = (
    "app_id",
    "conversion_id",
    "model",
    "touch_id",
    "revision",
    "converted_at",
    "campaign_id",
    "channel",
    "share_millionths",
    "revenue",
    "currency",
)


def credit_rows(attribution: Attribution) -> list[Row]:
    """The rows of `attribution_credits`."""
    of = attribution
    return [
        (
            *(of.app_id, of.conversion_id, one.model, one.touch_id, of.revision, of.at_ms),
            *(one.campaign_id, one.channel, one.share_millionths, one.revenue_micros),
            None if one.revenue_micros is None else of.currency,
        )
        for one in attribution.credits
    ]


REVISION_COLUMNS = (
    *ATTRIBUTION_COLUMNS,
    "touch",
    "candidates",
    "unanswered",
    "previous_method",
    "previous_touch_id",
    "conversion",
    "earlier",
)


def revision_row(attribution: Attribution) -> Row:
    """The row of `attribution_revisions`."""
    touch: Touch | None = attribution.touch
    conversion = attribution.conversion
    return (
        *attribution_row(attribution),
        as_json(touch) if touch else None,
        as_json(attribution.candidates),
        as_json(attribution.unanswered),
        attribution.previous_method,
        attribution.previous_touch_id,
        as_json(given(conversion)) if conversion else None,
        as_json(attribution.earlier),
    )


_PERSON_LINK = {**_same("app_id", "kind", "identifier", "other"), "at": "at_ms"}
PERSON_LINK_COLUMNS = tuple(_PERSON_LINK)
person_link_row: Callable[[PersonLink], Row] = _getter(_PERSON_LINK)
"""The row of `person_links`."""


REJECTED_COLUMNS = (
    "rejected_id",
    "app_id",
    "stage",
    "reasons",
    "detail",
    "payload",
    "content_type",
    "received_at",
    "version",
    "origin",
    "key",
    "ip",
    "user_agent",
    "replayed_at",
    "replay_result",
)


def rejected_row(rejected: Rejected) -> Row:
    """The row of `rejected`."""
    return (
        rejected.rejected_id,
        rejected.app_id,
        rejected.stage,
        as_json(rejected.reasons),
        rejected.detail,
        "\\x" + rejected.payload.hex(),
        rejected.content_type,
        rejected.received_at_ms,
        rejected.version,
        rejected.origin,
        rejected.key,
        rejected.ip,
        rejected.user_agent,
        *(None, None),  # not replayed yet; `storage.rejections` notes it
    )


def _context_rest(context: Context) -> str | None:
    """What of the context has no column of its own."""
    rest: dict[str, Any] = {}
    for name in _CONTEXT_REST:
        value = getattr(context, name)
        if value is not None and value != {}:
            rest[name] = msgspec.Raw(value.encode()) if name == "extra" else value
    return as_json(rest) if rest else None
