"""What was used once, remembered until it cannot be used again. Never forgets early: it is full."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UsedOnce"]

_BUCKET_S = 30.0


class UsedOnce:
    """Names that were used, as hashes in sets by when they end: 70 bytes each.

    Two names have the same hash once in 2^64: then the second looks used.

    Args:
        capacity: Most names kept.
        clock_s: Monotonic seconds.
    """

    def __init__(self, capacity: int, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock_s = clock_s
        self._count = 0
        self._buckets: dict[int, set[int]] = {}
        self._whole_from_s = clock_s()

    def __contains__(self, name: str) -> bool:
        """Whether it was added and its time, a little longer here, is not over."""
        self._expire()
        name_hash = hash(name)
        return any(name_hash in bucket for bucket in self._buckets.values())

    @property
    def whole(self) -> bool:
        """Whether every name is known that was added or given up and whose time is not over."""
        return self._clock_s() >= self._whole_from_s

    def add(self, name: str, ttl_s: float) -> bool:
        """Remember the name for `ttl_s` seconds or a little longer; False if there is no room."""
        self._expire()
        now_s = self._clock_s()
        if self._count >= self._capacity:
            self._whole_from_s = now_s + ttl_s
            return False
        bucket = self._buckets.setdefault(int((now_s + ttl_s) // _BUCKET_S) + 1, set())
        before = len(bucket)
        bucket.add(hash(name))
        self._count += len(bucket) - before
        return True

    def __len__(self) -> int:
        return self._count

    def _expire(self) -> None:
        now = self._clock_s() / _BUCKET_S
        while self._buckets:
            oldest = next(iter(self._buckets))
            if oldest > now:
                break
            self._count -= len(self._buckets.pop(oldest))
