"""Segment's messages as our own events, so that everything after is the same for both.

A message (Segment's Spec: identify, track, page, screen, group, alias) is put into the words of
`core.validation` and judged there; problems are told in Segment's words again. The whole mapping
is in `docs/segment.md`. Nothing here raises, whatever the message holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trackstream.core.fields import Problem
from trackstream.core.reading import read_event
from trackstream.core.reasons import Reason
from trackstream.core.segment_context import Reading, channel_of, devices_of
from trackstream.core.segment_origin import object_in, origin_of, text_of
from trackstream.core.validation import ParsedEvent

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EVENT_NAMES", "TYPES", "SegmentEvent", "parse_message"]

EVENT_NAMES = {
    "Application Installed": "install",
    "Application Opened": "app_open",
    "Order Completed": "purchase",
    "Product Added": "add_to_cart",
    "Signed Up": "sign_up",
}
"""Names of track calls that our rules and reports know under another one; others stay."""
TYPES = {
    "alias": "alias",
    "group": "group",
    "identify": "identify",
    "page": "page_view",
    "screen": "screen_view",
    "track": "",
}
"""The types of messages and the names of their events; a track call has its own."""

_READ = frozenset(
    {
        "_metadata", "anonymousId", "channel", "context", "messageId", "originalTimestamp",
        "receivedAt", "sentAt", "timestamp", "type", "userId", "writeKey",
    }
)  # fmt: skip
_READ_OF = {
    "alias": frozenset({"previousId", "traits"}),
    "group": frozenset({"groupId", "traits"}),
    "identify": frozenset({"traits"}),
    "page": frozenset({"category", "name", "properties"}),
    "screen": frozenset({"category", "name", "properties"}),
    "track": frozenset({"event", "properties"}),
}
_OURS = frozenset(
    {
        "app_id", "campaign", "cookie_id", "device_id", "event", "event_id", "gaid", "idfa", "idfv",
        "properties", "referral", "sent_at", "session_id", "user_id",
    }
)  # fmt: skip
_THEIR_FIELDS = {
    "campaign.campaign_id": "context.campaign.id",
    "context.extra": "context",
    "context.user_agent": "context.userAgent",
    "cookie_id": "anonymousId",
    "device_id": "context.device.id",
    "event_id": "messageId",
    "gaid": "context.device.advertisingId",
    "idfa": "context.device.advertisingId",
    "idfv": "context.device.id",
    "properties.previousId": "previousId",
    "sent_at": "sentAt",
    "user_id": "userId",
}


class SegmentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message.

    Attributes:
        result: the event, or everything that is wrong with it.
        ours: the message in our words, as far as it could be understood.
        address_is_users: whether the request's address is that of whom the event speaks of.
        agent_is_users: whether the request's user agent is.
    """

    result: ParsedEvent | tuple[Problem, ...]
    ours: dict[str, Any]
    address_is_users: bool = True
    agent_is_users: bool = True


def parse_message(
    message: object,
    *,
    kind: str | None,
    received_at_ms: int,
    sent_at_ms: int | None,
    new_id: Callable[[], str],
    default_cookie_id: str | None = None,
) -> SegmentEvent:
    """The event that a message stands for.

    Args:
        message: as parsed JSON.
        kind: its type as the path says it; None: as its own `type` says it.
        received_at_ms: when the collector received it, by the collector's clock.
        sent_at_ms: when the batch was sent, by the sender's clock; the message's own `sentAt`
            goes before it.
        new_id: makes the id of an event whose message has none.
        default_cookie_id: the cookie of a browser's event that names nobody.
    """
    if not isinstance(message, dict):
        return _refused(Problem(Reason.WRONG_TYPE, "", "a message has to be an object"))
    kind = message.get("type") if kind is None else kind
    if kind is None:
        return _refused(Problem(Reason.MISSING_FIELD, "type", "is missing"))
    if not isinstance(kind, str) or kind not in TYPES:
        known = ", ".join(TYPES)
        return _refused(Problem(Reason.INVALID_VALUE, "type", f"has to be one of {known}"))
    channel = channel_of(message)
    context = object_in(message, "context")
    devices = devices_of(context, channel)
    properties = _properties(message, kind)
    stated = properties if kind == "page" and type(properties) is dict else {}
    reading = Reading(context, page=stated, devices=devices)
    ours: dict[str, Any] = {
        **_unread(message, _READ | _READ_OF[kind]),
        **devices,
        **_people(message, kind),
        "event": _name(message, kind),
        "timestamp": _timestamp(message, received_at_ms, sent_at_ms),
        "sent_at": message.get("sentAt"),
        "event_id": _plain(message.get("messageId")),
        "properties": properties,
        "context": reading.context or _odd_context(message),
    }
    if kind == "track" and type(properties) is dict:
        ours.update(origin_of(message.get("event"), properties, context, reading.campaign))
    elif reading.campaign:
        ours["campaign"] = reading.campaign
    result = read_event(
        ours,
        received_at_ms=received_at_ms,
        sent_at_ms=sent_at_ms,
        new_id=new_id,
        default_cookie_id=default_cookie_id if channel == "browser" else None,
    )
    return SegmentEvent(
        result=result if isinstance(result, ParsedEvent) else _in_their_words(result, kind),
        ours=ours,
        address_is_users=channel != "server" and not reading.hides_address,
        agent_is_users=channel == "browser",
    )


def _refused(problem: Problem) -> SegmentEvent:
    return SegmentEvent(result=(problem,), ours={})


def _unread(message: dict[str, Any], read: frozenset[str]) -> dict[str, Any]:
    """Fields that nothing here reads; validation keeps them in the context's `extra`.

    A library's empty lists and objects say nothing. Names that mean something to validation would
    be read there, so they get a `$` in front.
    """
    return {
        f"${name}" if name in _OURS else name: value
        for name, value in message.items()
        if name not in read and value not in (None, "", [], {})
    }


def _people(message: dict[str, Any], kind: str) -> dict[str, Any]:
    """Whom the message names. An alias without `anonymousId` has it in `previousId`."""
    anonymous = message.get("anonymousId")
    if kind == "alias" and anonymous in (None, ""):
        anonymous = message.get("previousId")
    return {"user_id": _plain(message.get("userId")), "cookie_id": _plain(anonymous)}


def _plain(value: object) -> object:
    """Numbers as text, since Segment takes both for ids; everything else as it is."""
    return value if (text := text_of(value)) is None else text


def _name(message: dict[str, Any], kind: str) -> object:
    if kind != "track":
        return TYPES[kind]
    name = message.get("event")
    return EVENT_NAMES.get(name, name) if isinstance(name, str) else name


def _timestamp(message: dict[str, Any], received_at_ms: int, sent_at_ms: int | None) -> object:
    """The sender's own time, which is corrected later; without one, that of sending or arrival.

    In a forwarded message `originalTimestamp` is the sender's own, and `timestamp` corrected
    already by `sentAt`: only without the latter is it the better of the two.
    """
    sent_at = message.get("sentAt")
    if sent_at is None:
        sent_at = sent_at_ms
    names = ("originalTimestamp", "timestamp")
    for name in names if sent_at is not None else reversed(names):
        value = message.get(name)
        if value not in (None, ""):
            return value
    return received_at_ms if sent_at is None else sent_at


def _properties(message: dict[str, Any], kind: str) -> Any:
    """The event's properties.

    Traits keep a level of their own: a company's `revenue` is not the event's.
    """
    if kind in {"track", "page", "screen"}:
        given = _object_or_odd(message.get("properties"))
        if kind == "track" or type(given) is not dict:
            return given
        names = {name: message.get(name) for name in ("name", "category")}
        return {**{name: one for name, one in names.items() if one}, **given}
    found: dict[str, Any] = {}
    if kind == "alias":
        found["previousId"] = message.get("previousId")
    if kind == "group":
        found["groupId"] = message.get("groupId")
    traits = _object_or_odd(message.get("traits"))
    if not traits and kind == "identify":
        traits = _object_or_odd(object_in(message, "context").get("traits"))
    if traits:
        found["traits"] = traits
    return {name: one for name, one in found.items() if one is not None}


def _object_or_odd(value: object) -> Any:
    """An object; what is something else is left for validation to refuse, but for PHP's `[]`."""
    return {} if value in (None, "", []) else value


def _odd_context(message: dict[str, Any]) -> Any:
    """What there is in place of a context: nothing, or something that validation refuses."""
    context = message.get("context")
    return None if context in (None, "", [], {}) or type(context) is dict else context


def _in_their_words(problems: tuple[Problem, ...], kind: str) -> tuple[Problem, ...]:
    return tuple(_in_their_word(one, kind) for one in problems)


def _in_their_word(problem: Problem, kind: str) -> Problem:
    name = _THEIR_FIELDS.get(problem.field, problem.field)
    if name == "properties" and kind in {"alias", "group", "identify"}:
        name = "traits"
    if problem.reason is Reason.NO_IDENTIFIER:
        detail = (
            "at least one of userId and anonymousId has to be given, and none that is all zeros"
        )
        return Problem(problem.reason, name, detail)
    return Problem(problem.reason, name, problem.detail)
