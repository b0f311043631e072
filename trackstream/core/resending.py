"""A refused body as it is posted again later, by somebody else."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from trackstream.core.timestamps import parse_timestamp

__all__ = ["MAX_INFLATED_BYTES", "alone", "inflated", "named", "resendable"]

MAX_INFLATED_BYTES = 64 * 2**20

_OURS = ("events", "sent_at", "user_agent")
_SEGMENTS = ("batch", "sentAt", "userAgent")
_OUR_PATHS = frozenset({"/v1/event", "/v1/install"})
_ANY_WINDOW = 47  # zlib's, or gzip's, whichever the header says


def inflated(payload: bytes) -> bytes:
    """The body as text: what was refused for its body came as it was sent, compressed perhaps.

    What is neither gzip nor zlib, nor whole, or too large, is left as it is.
    """
    if payload[:2] != b"\x1f\x8b" and payload[:1] != b"\x78":
        return payload
    try:
        inflater = zlib.decompressobj(_ANY_WINDOW)
        found = inflater.decompress(payload, MAX_INFLATED_BYTES)
    except zlib.error:
        return payload
    return found if inflater.eof else payload


def alone(event: object, **told: object) -> object:
    """A batch's event with what only its request says of it, so that it can be sent by itself.

    Args:
        event: as parsed JSON; what is no object is left.
        told: by the names of the event's members: its id, when it was sent. What is None is not
            told, and what the event says itself goes first.
    """
    if not isinstance(event, dict):
        return event
    absent = {
        name: value
        for name, value in told.items()
        if value is not None and event.get(name) in (None, "")
    }
    return {**event, **absent} if absent else event


def named(document: dict[str, Any], base: str, *, several: str, id_name: str) -> object:
    """A body with the ids that its request's Idempotency-Key gives the events that have none.

    Args:
        document: the body as parsed JSON.
        base: the Idempotency-Key.
        several: the member that is a batch's events.
        id_name: the member that is an event's id.
    """
    batch = document.get(several)
    if not isinstance(batch, list):
        return alone(document, **{id_name: base})
    events = [alone(one, **{id_name: f"{base}:{index}"}) for index, one in enumerate(batch)]
    return {**document, several: events}


def resendable(
    payload: bytes,
    *,
    origin: str,
    received_at_ms: int,
    now_ms: int,
    ip: str | None,
    user_agent: str | None,
) -> bytes:
    """The body to be posted to `origin` now, so that the same is made of it as would have been.

    The moments of sending are moved by as much as it comes later, or the delay would be taken for
    an error of the device's clock; the address and user agent that it came from are put into the
    contexts that say none, or it would be taken to come from whoever posts it again. A call of
    Segment's that does not say when it happened is given the time that it would have had. All
    else, and what is not JSON, stays as it is.
    """
    payload = inflated(payload)
    try:
        document = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return payload
    if not isinstance(document, dict):
        return payload
    # `/v1/batch` serves both; see `http.segment`.
    ours = origin in _OUR_PATHS or (origin == "/v1/batch" and "batch" not in document)
    several, sent_at, agent_name = _OURS if ours else _SEGMENTS
    batch = document.get(several)
    events = batch if isinstance(batch, list) else [document]
    seen = {"ip": ip, agent_name: user_agent}
    if not ours:
        for event in events:
            if isinstance(event, dict):
                _date(event, document.get(sent_at), received_at_ms)
    for one in [document, *(event for event in events if event is not document)]:
        if isinstance(one, dict):
            _move(one, sent_at, now_ms - received_at_ms)
    for event in events:
        if isinstance(event, dict):
            _tell(event, {name: value for name, value in seen.items() if value is not None})
    return msgspec.json.encode(document)


def _date(message: dict[str, Any], batch_sent_at: object, received_at_ms: int) -> None:
    """Say when a message happened that does not: when it was sent, or has come; as in `segment`."""
    if any(message.get(name) not in (None, "") for name in ("timestamp", "originalTimestamp")):
        return
    sent_at = message.get("sentAt")
    sent_at = batch_sent_at if sent_at is None else sent_at
    message["timestamp"] = received_at_ms if sent_at is None else sent_at


def _move(values: dict[str, Any], name: str, by_ms: int) -> None:
    at_ms = parse_timestamp(values[name]) if name in values else None
    if type(at_ms) is int:
        values[name] = at_ms + by_ms


def _tell(event: dict[str, Any], seen: dict[str, str]) -> None:
    context = event.get("context") or {}
    if isinstance(context, dict) and seen:
        event["context"] = {**seen, **{key: one for key, one in context.items() if one is not None}}
