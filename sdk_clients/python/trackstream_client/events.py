"""Events as the collector reads them; `sdk_clients/conformance/calls.json` has examples."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Fields", "FieldsWithUser", "event_of", "page_of", "rfc3339"]

_SDK = {"name": "trackstream-python", "version": "0.1.0"}
_NO_ADDRESS = "0.0.0.0"
"""How a sender says that its user's address is not known: else the server's own would be taken."""


class Fields(TypedDict, total=False):
    """What any event may say. Whom it speaks of: at least one of the ids, or a `user_id`.

    `timestamp` is a datetime with its zone, or epoch seconds; without it, it is now. `context` says
    `ip` and `user_agent` of the user: without them the event has neither, for those of a server are
    nobody's.
    """

    event_id: str
    timestamp: datetime | float
    device_id: str
    cookie_id: str
    gaid: str
    idfa: str
    idfv: str
    session_id: str
    context: Mapping[str, Any]
    campaign: Mapping[str, Any]
    referral: Mapping[str, Any]


class FieldsWithUser(Fields, total=False):
    """`Fields`, and the user's id."""

    user_id: str


def event_of(
    name: str, properties: Mapping[str, Any] | None, fields: Mapping[str, Any], *, now_s: float
) -> dict[str, Any]:
    """The event's document. It has no `event_id` if the fields have none.

    Raises:
        ValueError: the timestamp is a datetime without a zone.
    """
    document: dict[str, Any] = {"event": name, **fields}
    at = fields.get("timestamp")
    document["timestamp"] = rfc3339(now_s if at is None else at)
    if properties:
        document["properties"] = dict(properties)
    document["context"] = {"sdk": _SDK, "ip": _NO_ADDRESS, **(fields.get("context") or {})}
    return {key: value for key, value in document.items() if value is not None}


def page_of(
    context: Mapping[str, Any] | None, *, url: str, title: str | None, referrer: str | None
) -> dict[str, Any]:
    """The context with what is known of the page."""
    said = {"url": url, "title": title, "referrer": referrer}
    page = {key: value for key, value in said.items() if value is not None}
    given = dict(context or {})
    return {**given, "page": {**(given.get("page") or {}), **page}}


def rfc3339(at: datetime | float) -> str:
    """The time in UTC, in milliseconds.

    Raises:
        ValueError: it has no zone.
    """
    if not isinstance(at, datetime):
        at = datetime.fromtimestamp(at, UTC)
    elif at.tzinfo is None:
        raise ValueError("a timestamp needs its zone: datetime.now(UTC), say")
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
