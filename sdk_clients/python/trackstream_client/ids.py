"""Ids of events: UUID version 7, which sort by the time at which they were made."""

from __future__ import annotations

import secrets
import time
import uuid

__all__ = ["new_id"]


def new_id() -> str:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, 74 random bits."""
    ms = (time.time_ns() // 1_000_000) & (2**48 - 1)
    number = ms << 80 | 7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=number))
