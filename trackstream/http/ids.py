"""New ids: UUID version 7, which sort by the time at which they were made."""

from __future__ import annotations

import os
import time

__all__ = ["new_id"]

_RANDOM_BYTES = 10
_DRAWN_AT_ONCE = 256

_pool: list[bytes] = []
"""Random bytes drawn ahead: a call of the kernel's for each id costs more than all the rest of it.
Taking one from a list is atomic, so threads may share it; a forked child draws its own."""
os.register_at_fork(after_in_child=_pool.clear)


def new_id() -> str:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, 74 random bits."""
    try:
        random = int.from_bytes(_pool.pop(), "big")
    except IndexError:
        random = int.from_bytes(_draw(), "big")
    value = (time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    text = f"{value & ~(0x3 << 62) | 0x2 << 62:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _draw() -> bytes:
    """Fill the pool and hand out what is in none."""
    drawn = os.urandom(_RANDOM_BYTES * (_DRAWN_AT_ONCE + 1))
    _pool.extend(
        drawn[start : start + _RANDOM_BYTES]
        for start in range(_RANDOM_BYTES, len(drawn), _RANDOM_BYTES)
    )
    return drawn[:_RANDOM_BYTES]
