"""The schemas of events, noted down while the validation itself reads an event that has everything.

So a field or a bound that the validation learns is in the description without anybody's doing.
"""

from __future__ import annotations

from typing import Any

from trackstream.core.campaigns import NETWORK_CLICK_IDS, UTM_NAMES
from trackstream.core.fields import MAX_DEPTH, MAX_JSON_CHARS, MAX_MEMBERS, Fields, Problem
from trackstream.core.reasons import Reason
from trackstream.core.segment import TYPES
from trackstream.core.validation import parse_event

__all__ = ["EXAMPLE", "event_schema", "segment_schema"]

Schema = dict[str, Any]

_AT_MS = 1_752_148_800_000
_LIMITS = (
    f"At most {MAX_DEPTH} deep, {MAX_MEMBERS} members and {MAX_JSON_CHARS} characters of JSON."
)
TIMESTAMP: Schema = {
    "description": "RFC 3339 with its offset, or seconds or milliseconds since 1970, also as text.",
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,18})?$"},
        {"type": "number"},
        {"type": "null"},
    ],
}
_TIMESTAMP = {"$ref": "#/components/schemas/Timestamp"}
_TEXT: Schema = {"type": ["string", "null"]}
_FREE: Schema = {"type": ["object", "null"], "description": _LIMITS}
_SEGMENT_FIELDS: dict[str, tuple[set[str], Schema]] = {
    "event": ({"track"}, {**_TEXT, "description": "The name of a track call."}),
    "properties": ({"track", "page", "screen"}, _FREE),
    "traits": ({"identify", "group", "alias"}, _FREE),
    "name": ({"page", "screen"}, _TEXT),
    "category": ({"page", "screen"}, _TEXT),
    "groupId": ({"group"}, _TEXT),
    "previousId": ({"alias"}, _TEXT),
}
"""Fields of Segment's messages that only some types have."""
EXAMPLE: dict[str, Any] = {
    "event": "purchase",
    "event_id": "0b9e1c52-6f0e-4c65-9a3e-5d0f3f0c7a11",
    "timestamp": "2025-07-10T12:00:00Z",
    "sent_at": "2025-07-10T12:00:01Z",
    "user_id": "user-7",
    "device_id": "device-7",
    "cookie_id": "cookie-7",
    "gaid": "38400000-8cf0-11bd-b23e-10b96e40000d",
    "idfa": "6D92078A-8246-4BA4-AE5B-76104861E7DC",
    "idfv": "7E93078A-8246-4BA4-AE5B-76104861E7DD",
    "session_id": "session-7",
    "properties": {"revenue": 49.9, "currency": "EUR"},
    "campaign": {
        "campaign_id": "cmp001",
        "channel": "email",
        **dict.fromkeys(UTM_NAMES, "sale"),
        **dict.fromkeys(NETWORK_CLICK_IDS, "abc"),
    },
    "referral": {
        "click_id": "click-7",
        "campaign_id": "cmp001",
        "install_referrer": "utm_source=adnet",
        "referrer_click_at": "2025-07-10T11:00:00Z",
        "referrer_click_timestamp_seconds": 1752145200,
        "install_begin_at": "2025-07-10T11:01:00Z",
        "install_begin_timestamp_seconds": 1752145260,
    },
    "context": {
        "app": {"version": "2.1"},
        "os": {"name": "Android", "version": "14"},
        "device": {"model": "Pixel 8", "manufacturer": "Google"},
        "screen": {"width": 1080, "height": 2400},
        "page": {"url": "https://shop.example/", "referrer": "https://a.example/", "title": "Shop"},
        "sdk": {"name": "trackstream-js", "version": "1.0"},
        "locale": "de-DE",
        "timezone": "Europe/Berlin",
        "consent": {"analytics": True},
        "ip": "203.0.113.7",
        "user_agent": "Mozilla/5.0",
        "plan": "gold",
    },
}
"""An event that has every field that there is, and one in its context that nothing knows."""

_OTHERWISE: dict[str, Any] = {
    "context": {"sdk": "trackstream-js"},
    "referral": {
        "referrer_click_timestamp_seconds": 1752145200,
        "install_begin_timestamp_seconds": 1752145260,
    },
}
"""The other ways to say the same."""

_EVENT_ID = (
    "Unique within the app, such as a UUID: two different events with one id are one. Without it "
    "one is made, and told in the answer."
)


class _Noting(Fields):
    """Fields that note in `schema` what they are asked."""

    __slots__ = ("_schema",)

    def __init__(
        self, values: dict[str, Any], problems: list[Problem], path: str, schema: Schema
    ) -> None:
        super().__init__(values, problems, path)
        self._schema = schema

    def _note(self, name: str, schema: Schema) -> Schema:
        known: Schema = self._schema["properties"].setdefault(name, schema)
        if known.get("type") == schema.get("type") and "anyOf" not in known:
            return known
        if known == schema:
            return known
        either = known.setdefault("anyOf", [dict(known)])
        for member in set(known) - {"anyOf"}:
            del known[member]
        found: Schema | None = next((one for one in either if one["type"] == schema["type"]), None)
        if found is None:
            either.append(schema)
        return found or schema

    def text(self, name: str, max_chars: int = 512) -> str | None:
        self._note(name, {"type": ["string", "null"], "maxLength": max_chars})
        return super().text(name, max_chars)

    def identifier(self, name: str, max_chars: int = 256) -> str | None:
        self._note(
            name,
            {
                "type": ["string", "null"],
                "maxLength": max_chars,
                "description": "Without control characters.",
            },
        )
        return super().identifier(name, max_chars)

    def whole(self, name: str, high: int) -> int | None:
        self._note(name, {"type": ["number", "null"], "minimum": 0, "maximum": high})
        return super().whole(name, high)

    def timestamp_ms(self, name: str) -> int | None:
        self._note(name, _TIMESTAMP)
        return super().timestamp_ms(name)

    def flags(self, name: str, max_entries: int = 64) -> dict[str, bool]:
        self._note(
            name,
            {
                "type": ["object", "null"],
                "additionalProperties": {"type": "boolean"},
                "maxProperties": max_entries,
                "propertyNames": {"maxLength": 64},
            },
        )
        return super().flags(name, max_entries)

    def object(self, name: str) -> Fields | None:
        inner = self._note(name, {"type": ["object", "null"], "properties": {}})
        value = self.raw(name)
        if not isinstance(value, dict):
            return super().object(name)
        return _Noting(value, self._problems, f"{self._path}{name}.", inner)

    def json(self, name: str, value: dict[str, Any]) -> str:
        found = self._schema["properties"].get(name, self._schema)
        found["description"] = f"What else is in it is kept. {_LIMITS}"
        return super().json(name, value)


def event_schema(*, named: bool = True) -> Schema:
    """What an event may hold, and what it has to.

    Args:
        named: whether it has to have a name; an install has its own.

    Raises:
        ValueError: the example above is not valid any more.
    """
    schema: Schema = {
        "type": "object",
        "description": (
            "At least one of user_id, device_id, cookie_id, gaid, idfa and idfv has to be given, "
            "unless the tracking cookie comes with the request. Unknown fields are kept."
        ),
        "properties": {
            "app_id": {
                "type": ["string", "null"],
                "description": "The key says whose an event is; if given, the same.",
            }
        },
        "examples": [EXAMPLE],
    }
    for change in ({}, _OTHERWISE):
        problems = _read({**EXAMPLE, **change}, schema)
        if problems:
            raise ValueError(f"the example is refused: {problems}")
    event_id = schema["properties"]["event_id"]
    event_id["description"] = f"{_EVENT_ID} {event_id['description']}"
    missing = _read({}, {"properties": {}}, default_name=None if named else "install")
    schema["required"] = [one.field for one in missing if one.reason is Reason.MISSING_FIELD]
    for name in schema["required"]:
        field = schema["properties"][name]
        if "type" in field:
            field["type"] = "string"
    return schema


def _read(
    value: dict[str, Any], schema: Schema, *, default_name: str | None = None
) -> tuple[Problem, ...]:
    found = parse_event(
        value,
        received_at_ms=_AT_MS,
        sent_at_ms=None,
        new_id=lambda: "id",
        default_name=default_name,
        fields_of=lambda values, problems: _Noting(values, problems, "", schema),
    )
    return found if isinstance(found, tuple) else ()


def segment_schema(kind: str | None) -> Schema:
    """A message of Segment's, as far as its shape decides whether it is taken.

    Args:
        kind: its type, where the path says it; None: it says its type itself.
    """
    properties: Schema = {
        "messageId": {**_TEXT, "maxLength": 256, "description": _EVENT_ID},
        "userId": {"type": ["string", "number", "null"]},
        "anonymousId": {"type": ["string", "number", "null"]},
        "context": {"type": ["object", "null"]},
        **dict.fromkeys(("timestamp", "originalTimestamp", "sentAt"), _TIMESTAMP),
        "writeKey": {**_TEXT, "description": "Where it is not in the request's head."},
    }
    for name, (kinds, schema) in _SEGMENT_FIELDS.items():
        if kind is None or kind in kinds:
            properties[name] = schema
    required = ["event"] if kind == "track" else []
    if kind is None:
        properties["type"] = {"enum": sorted(TYPES)}
        required.append("type")
    example: dict[str, Any] = {"userId": "user-7", "timestamp": "2025-07-10T12:00:00Z"}
    if kind in {None, "track"}:
        example |= {"event": "Order Completed", "properties": {"revenue": 49.9}}
    if kind is None:
        example["type"] = "track"
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "examples": [example],
    }
