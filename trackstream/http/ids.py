"""New ids: UUID version 7, which sort by the time at which they were made, and those of cookies."""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64encode
from functools import lru_cache

__all__ = ["new_cookie_id", "new_id"]

_DRAWN_AT_ONCE = 256
_END = b"7rrr-vrrr-rrrrrrrrrrrr "
"""What follows the time: the version, 12 random bits, the variant, 62 random bits."""
_PLACES = [place for place, kind in enumerate(_END) if kind in b"rv"]
_VARIANTS = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)

_pool: list[str] = []
"""Ends of ids, drawn ahead: a call of the kernel's for each costs more than all the rest of it.
Taking one from a list is atomic, so threads may share it; a forked child draws its own."""
os.register_at_fork(after_in_child=_pool.clear)
_cookies: list[str] = []
"""The same for ids of cookies."""
os.register_at_fork(after_in_child=_cookies.clear)
_COOKIE_BYTES, _COOKIE_CHARS = 24, 32


def new_id() -> str:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, 74 random bits."""
    try:
        end = _pool.pop()
    except IndexError:
        end = _draw()
    return f"{_begin(time.time_ns() // 1_000_000)}-{end}"


@lru_cache(maxsize=1)
def _begin(ms: int) -> str:
    """The time; a click has two ids in one millisecond."""
    return ms.to_bytes(6, "big").hex("-", -4)


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


def new_cookie_id() -> str:
    """192 random bits in 32 letters, digits, `-` and `_`."""
    try:
        return _cookies.pop()
    except IndexError:
        drawn = urlsafe_b64encode(os.urandom(_COOKIE_BYTES * _DRAWN_AT_ONCE)).decode()
    ends = range(_COOKIE_CHARS, len(drawn), _COOKIE_CHARS)
    _cookies.extend([drawn[end : end + _COOKIE_CHARS] for end in ends])
    return drawn[:_COOKIE_CHARS]
