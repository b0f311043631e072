"""New ids: UUID version 7, which sort by the time at which they were made."""

from __future__ import annotations

import os
import time

__all__ = ["new_id"]

_DRAWN_AT_ONCE = 256
_END = b"7rrr-vrrr-rrrrrrrrrrrr "
"""What follows the time: the version, 12 random bits, the variant, 62 random bits."""
_PLACES = [place for place, kind in enumerate(_END) if kind in b"rv"]
_VARIANTS = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)

_pool: list[str] = []
"""Ends of ids, drawn ahead: a call of the kernel's for each costs more than all the rest of it.
Taking one from a list is atomic, so threads may share it; a forked child draws its own."""
os.register_at_fork(after_in_child=_pool.clear)


def new_id() -> str:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, 74 random bits."""
    try:
        end = _pool.pop()
    except IndexError:
        end = _draw()
    ms = time.time_ns() // 1_000_000
    return f"{ms.to_bytes(6, 'big').hex('-', -4)}-{end}"


def _draw() -> str:
    """Fill the pool and hand out what is in none."""
    ends = bytearray(_END * _DRAWN_AT_ONCE)
    for place in _PLACES:  # of all ends at once
        digits = os.urandom(_DRAWN_AT_ONCE // 2).hex().encode()
        is_variant = _END[place] == ord("v")
        ends[place :: len(_END)] = digits.translate(_VARIANTS) if is_variant else digits
    drawn = ends.decode().split()
    _pool.extend(drawn[1:])
    return drawn[0]
