"""Segment's messages, and what becomes of them."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from trackstream.core.segment import SegmentEvent, parse_message
from trackstream.core.validation import ParsedEvent

if TYPE_CHECKING:
    from trackstream.core.records import RawEvent

NOW_MS = 1_752_148_800_000
NOW = "2025-07-10T12:00:00.000Z"
IOS = {"name": "iOS", "version": "17.5"}
ANDROID = {"name": "Android", "version": "14"}
VENDOR_ID = "7A3CBEA0-BDF5-11E4-8DFC-AA07A5B093DB"


def parsed(message: object, kind: str | None = None, sent_at_ms: int | None = None) -> SegmentEvent:
    numbers = count(1)
    return parse_message(
        message,
        kind=kind,
        received_at_ms=NOW_MS,
        sent_at_ms=sent_at_ms,
        new_id=lambda: f"id-{next(numbers)}",
        default_cookie_id="from-cookie",
    )


def accepted(message: object, kind: str | None = None) -> RawEvent:
    result = parsed(message, kind).result
    assert isinstance(result, ParsedEvent), result
    return result.event


def track(name: str, properties: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": name,
        "anonymousId": "anon-1",
        "timestamp": NOW,
        "properties": properties,
        **more,
    }


def app(name: str, properties: Any = None, os: Any = None, **context: Any) -> dict[str, Any]:
    """What an app's library sends."""
    context.setdefault("device", {"id": "d-1"})
    context.setdefault("library", {"name": "analytics-kotlin", "version": "1.16.3"})
    return track(name, properties, context={"os": os or ANDROID, **context})
