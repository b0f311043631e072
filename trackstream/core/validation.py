"""One event as parsed JSON to a `RawEvent`, or everything that is wrong with it at once.

The JSON: `event` (name), `timestamp`, at least one of `user_id`, `device_id`, `cookie_id`, `gaid`,
`idfa`, `idfv`; optional `event_id`, `sent_at`, `session_id`, `properties` (object), `campaign`
(`campaign_id`, `channel`, UTM names, networks' click ids), `context` (see `core.contexts`) and
`referral` (`click_id`, `campaign_id`, `install_referrer`, and the store's timestamps:
`referrer_click_timestamp_seconds`, `install_begin_timestamp_seconds`, or `referrer_click_at`,
`install_begin_at` in any form of timestamp).

Fields that nothing knows are kept in the context's `extra`: those of the event under
`$event`, those of `campaign` and `referral` under `$campaign` and `$referral`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trackstream.core import campaigns
from trackstream.core.contexts import context_of, sender_of
from trackstream.core.fields import Fields, Problem
from trackstream.core.identifiers import advertising_id
from trackstream.core.persons import ALIAS, PREVIOUS
from trackstream.core.reasons import Reason
from trackstream.core.records import Campaign, RawEvent, Referral
from trackstream.core.timestamps import check_range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trackstream.core.records import Context

__all__ = [
    "MAX_NAME_CHARS",
    "ParsedEvent",
    "origin_of",
    "parse_event",
    "unknown_of",
]

MAX_NAME_CHARS = 200
"""Length of an event's name."""

_KNOWN = frozenset(
    {
        "app_id", "campaign", "context", "cookie_id", "device_id", "event", "event_id", "gaid",
        "idfa", "idfv", "properties", "referral", "sent_at", "session_id", "timestamp", "user_id",
    }
)  # fmt: skip
_KNOWN_CAMPAIGN = frozenset(
    {"campaign_id", "channel", *campaigns.UTM_NAMES, *campaigns.NETWORK_CLICK_IDS}
)
_KNOWN_REFERRAL = frozenset(
    {
        "click_id", "campaign_id", "install_referrer", "referrer_click_at", "install_begin_at",
        "referrer_click_timestamp_seconds", "install_begin_timestamp_seconds",
        "referrer_click_timestamp_server_seconds", "install_begin_timestamp_server_seconds",
    }
)  # fmt: skip
_REFERRER_CLICK_IDS = (campaigns.CLICK_ID, "click_id", "clickid")


class ParsedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A valid event and what it says of its own sending.

    `ip` and `user_agent` are the context's statements: whether they are believed is the caller's
    decision.
    """

    event: RawEvent
    sent_at_ms: int | None = None
    ip: str | None = None
    user_agent: str | None = None


def parse_event(
    value: object,
    *,
    received_at_ms: int,
    sent_at_ms: int | None,
    new_id: Callable[[], str],
    default_name: str | None = None,
    default_cookie_id: str | None = None,
    fields_of: Callable[[dict[str, Any], list[Problem]], Fields] = Fields,
) -> ParsedEvent | tuple[Problem, ...]:
    """The event, or every problem of it (never an empty tuple). Raises nothing.

    Args:
        value: the event as parsed JSON.
        received_at_ms: when the collector received it, by the collector's clock.
        sent_at_ms: when the sender sent the batch, by the sender's clock; the event's own
            `sent_at` goes before it.
        new_id: makes the id of an event that has none.
        default_name: the name of an event that has none; without it that is a problem.
        default_cookie_id: the cookie id of an event that has none.
        fields_of: reads an object; one that notes what it is asked tells what an event may hold.
    """
    if not isinstance(value, dict):
        return (Problem(Reason.WRONG_TYPE, "", "an event has to be an object"),)
    problems: list[Problem] = []
    fields = fields_of(value, problems)
    name = fields.identifier("event", MAX_NAME_CHARS) or default_name
    if name is None and not problems:
        fields.problem(Reason.MISSING_FIELD, "event", "is missing")
    own_sent_at_ms = fields.timestamp_ms("sent_at")
    if own_sent_at_ms is not None:
        sent_at_ms = own_sent_at_ms
    timestamp_ms = _timestamp_ms(fields, received_at_ms=received_at_ms, sent_at_ms=sent_at_ms)
    identifiers = _identifiers(fields, problems, default_cookie_id)
    event_id = fields.identifier("event_id")
    session_id = fields.identifier("session_id")
    properties = fields.object("properties")
    if name == ALIAS and properties:
        _judge_previous(properties)
    properties_text = fields.json("properties", value["properties"]) if properties else "{}"
    unknown = unknown_of(fields)
    context_fields = fields.object("context")
    if context_fields is None and unknown:
        context_fields = Fields({}, problems, "context.")
    context = context_of(context_fields, unknown)
    ip, user_agent = sender_of(context_fields)
    campaign, referral = origin_of(fields, context)
    if problems:
        return tuple(problems)
    return ParsedEvent(
        event=RawEvent(
            event_id=event_id or new_id(),
            event=name or "",
            timestamp_ms=timestamp_ms,
            **identifiers,
            session_id=session_id,
            properties=properties_text,
            campaign=campaign,
            context=context,
            referral=referral,
        ),
        sent_at_ms=sent_at_ms,
        ip=ip,
        user_agent=user_agent,
    )


def _timestamp_ms(fields: Fields, *, received_at_ms: int, sent_at_ms: int | None) -> int:
    """The timestamp as sent; it is judged as corrected for the sender's clock."""
    timestamp_ms = fields.timestamp_ms("timestamp")
    if timestamp_ms is None:
        if fields.raw("timestamp") is None:
            fields.problem(Reason.MISSING_FIELD, "timestamp", "is missing")
        return 0
    offset_ms = 0 if sent_at_ms is None else received_at_ms - sent_at_ms
    reason = check_range(timestamp_ms + offset_ms, received_at_ms=received_at_ms)
    if reason is Reason.TIMESTAMP_IN_FUTURE:
        fields.problem(reason, "timestamp", "is more than 24 hours after it was received")
    elif reason is not None:
        fields.problem(reason, "timestamp", "is before the year 2000")
    return timestamp_ms


def _identifiers(
    fields: Fields, problems: list[Problem], default_cookie_id: str | None
) -> dict[str, str | None]:
    """Whom the event speaks of, without what is known to identify nobody."""
    problems_before = len(problems)
    found: dict[str, str | None] = {}
    for name in ("user_id", "device_id", "cookie_id", "gaid", "idfa", "idfv"):
        text = fields.identifier(name)
        found[name] = text if advertising_id(text) else None
    found["cookie_id"] = found["cookie_id"] or default_cookie_id
    if len(problems) == problems_before and not any(found.values()):
        fields.problem(
            Reason.NO_IDENTIFIER,
            "user_id",
            "at least one of user_id, device_id, cookie_id, gaid, idfa and idfv has to be given, "
            "and none that is all zeros",
        )
    return found


def _judge_previous(properties: Fields) -> None:
    """The user whom an alias replaces goes by the rules of `user_id`."""
    for name in PREVIOUS:
        if type(properties.raw(name)) is not int:  # Segment's libraries take numbers for ids
            properties.identifier(name)


def unknown_of(fields: Fields) -> dict[str, Any]:
    """What nothing knows of the event, its campaign and its referral: goes into `extra`."""
    unknown = {}
    rest = fields.rest(_KNOWN)
    if rest:
        unknown["$event"] = rest
    for name, known in (("campaign", _KNOWN_CAMPAIGN), ("referral", _KNOWN_REFERRAL)):
        part = fields.raw(name)
        if isinstance(part, dict) and not part.keys() <= known:
            unknown[f"${name}"] = {key: one for key, one in part.items() if key not in known}
    return unknown


def origin_of(fields: Fields, context: Context | None) -> tuple[Campaign | None, Referral | None]:
    """Campaign and referral: what is said outright, then the page's query, then the referrer."""
    page_url = context.page_url if context else None
    query = campaigns.query_of(page_url) if page_url and "?" in page_url else {}
    part = fields.object("referral")
    referrer = part.text("install_referrer", 4_096) if part else None
    referred = campaigns.referrer_of(referrer) if referrer else {}
    click_id = _first(referred, _REFERRER_CLICK_IDS) or _first(query, (campaigns.CLICK_ID,))
    referral: Referral | None = None
    if part is not None:
        referral = Referral(
            click_id=part.identifier("click_id") or click_id,
            campaign_id=part.identifier("campaign_id"),
            install_referrer=referrer,
            referrer_click_at_ms=_store_time_ms(part, "referrer_click"),
            install_begin_at_ms=_store_time_ms(part, "install_begin"),
            server_times=bool(part.raw(f"install_begin{_SERVER_SECONDS}")),
        )
    elif click_id:
        referral = Referral(click_id=click_id)
    return _campaign(fields.object("campaign"), query, referred), referral


def _campaign(
    part: Fields | None, query: Mapping[str, str], referred: Mapping[str, str]
) -> Campaign | None:
    found = campaigns.referrer_marks(referred) if referred else {}
    if query:
        found |= campaigns.marks(query)
    if part is None:
        return campaigns.campaign_of(found) if found else None
    for name in (*campaigns.UTM_NAMES, *campaigns.NETWORK_CLICK_IDS):
        text = part.text(name)
        if text:
            found[name] = text
    return campaigns.campaign_of(
        found, campaign_id=part.identifier("campaign_id"), channel=part.text("channel")
    )


_SERVER_SECONDS = "_timestamp_server_seconds"


def _store_time_ms(part: Fields, name: str) -> int | None:
    """A time of the store's, its servers' if given; 0 is what it says when it knows none."""
    for spelled in (f"{name}{_SERVER_SECONDS}", f"{name}_at", f"{name}_timestamp_seconds"):
        at_ms = None if part.raw(spelled) == 0 else part.timestamp_ms(spelled)
        if at_ms is not None:
            return at_ms
    return None


def _first(query: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """The first of these that is there and could be one of our click ids."""
    for name in names:
        value = query.get(name)
        if value and len(value) <= 256 and value.isprintable():
            return value
    return None
