"""What is refused from a known app goes to the topic `rejected`, with the original."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from trackstream import codec
from trackstream.core.identifiers import subject_of
from trackstream.core.records import Rejected
from trackstream.core.texts import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.core.reasons import Reason

__all__ = ["MAX_PAYLOAD_BYTES", "original", "rejected_message"]

MAX_PAYLOAD_BYTES = 256 * 1024
"""What is kept of an original; the rest is cut off."""


def rejected_message(
    *,
    app_id: str,
    rejected_id: str,
    reasons: Iterable[Reason],
    detail: str,
    payload: bytes,
    value: object,
    content_type: str | None,
    received_at_ms: int,
    version: str,
    origin: str | None,
    ip: str | None,
    user_agent: str | None,
) -> tuple[str, bytes, bytes]:
    """The message for `rejected`; its key is the subject, as far as `value` shows one."""
    record = Rejected(
        rejected_id=rejected_id,
        app_id=app_id,
        stage="collector",
        reasons=list(dict.fromkeys(str(reason) for reason in reasons)),
        detail=clean(detail)[:2_000],
        payload=payload[:MAX_PAYLOAD_BYTES],
        content_type=content_type,
        received_at_ms=received_at_ms,
        version=version,
        origin=origin,
        ip=ip,
        user_agent=user_agent,
    )
    return "rejected", _key(app_id, value).encode("utf-8", "replace"), codec.encode(record)


def original(value: object) -> bytes:
    """One event of a batch as bytes again: compact JSON."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # half an emoji, which only an escape can say
        return json.dumps(value).encode()


def _key(app_id: str, value: object) -> str:
    def text(name: str) -> str | None:
        found: Any = value.get(name) if isinstance(value, dict) else None
        return found[:256] if isinstance(found, str) else None

    subject = subject_of(
        app_id,
        device_id=text("device_id"),
        cookie_id=text("cookie_id"),
        user_id=text("user_id"),
    )
    return subject or app_id
