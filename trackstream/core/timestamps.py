"""Timestamps as clients write them: RFC 3339 text, epoch seconds, or epoch milliseconds.

A time that cannot be an event's is refused and not moved to one that could: its sender is told, the
original is kept, and no report has an event at a time that nobody stated.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

from trackstream.core.reasons import Reason

__all__ = ["EARLIEST_MS", "MAX_AHEAD_MS", "check_range", "parse_timestamp"]

EARLIEST_MS = 946_684_800_000
"""2000-01-01: nothing that is tracked is older; a dead battery's 1970 is."""
MAX_AHEAD_MS = 24 * 3_600_000
"""How far ahead of its arrival a corrected timestamp may be."""

_LATEST_MS = 253_402_300_799_999
_MILLISECONDS_FROM = 100_000_000_000
"""Numbers from here on are milliseconds: as seconds they would be beyond the year 5138, and as
milliseconds smaller ones would be before March 1973."""
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:(?:[0-5][0-9]|60)"
    r"(?:\.[0-9]{1,18})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DIGITS = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,18})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def parse_timestamp(value: object) -> int | Reason:
    """Epoch milliseconds, or why there are none.

    Text is RFC 3339 (section 5.6), with its offset: local time without one means nothing here. A
    leap second counts as the second before it. Digits are read as the number that they are.
    """
    if isinstance(value, str):
        return _parse_text(value)
    if type(value) is float:
        if not math.isfinite(value):
            return Reason.INVALID_VALUE
    elif type(value) is not int:
        return Reason.WRONG_TYPE
    # Rounded: 1752148800.001 is a little less than that in binary, and 1 ms must not be lost.
    ms = int(value) if abs(value) >= _MILLISECONDS_FROM else round(value * 1000)
    return ms if abs(ms) <= _LATEST_MS else Reason.TIMESTAMP_OUT_OF_RANGE


def check_range(at_ms: int, *, received_at_ms: int) -> Reason | None:
    """Whether a timestamp, corrected for its sender's clock, can be that of an event."""
    if at_ms < EARLIEST_MS:
        return Reason.TIMESTAMP_OUT_OF_RANGE
    if at_ms > received_at_ms + MAX_AHEAD_MS:
        return Reason.TIMESTAMP_IN_FUTURE
    return None


def _parse_text(value: str) -> int | Reason:
    if not _RFC3339.fullmatch(value):
        if not _DIGITS.fullmatch(value):
            return Reason.INVALID_VALUE
        return parse_timestamp(float(value) if "." in value else int(value))
    if value[17:19] == "60":
        value = f"{value[:17]}59{value[19:]}"
    try:
        return (datetime.fromisoformat(value.upper()) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        return Reason.INVALID_VALUE
