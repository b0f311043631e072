"""A bounded memory whose entries expire."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Expiring"]

T = TypeVar("T")


class Expiring(Generic[T]):
    """Values that are forgotten after their time, the oldest first when there are too many.

    Args:
        capacity: Most entries kept.
        clock_s: Monotonic seconds.
    """

    def __init__(self, capacity: int, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock_s = clock_s
        self._entries: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def get(self, key: str) -> T | None:
        """The value, unless it was not put or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock_s():
            del self._entries[key]
            return None
        return entry[1]

    def put(self, key: str, value: T, ttl_s: float) -> None:
        """Remember the value for `ttl_s` seconds, in the place of an earlier one."""
        now_s = self._clock_s()
        self._entries.pop(key, None)
        while self._entries:
            oldest = next(iter(self._entries))
            if len(self._entries) < self._capacity and self._entries[oldest][0] > now_s:
                break
            del self._entries[oldest]
        self._entries[key] = (now_s + ttl_s, value)

    def drop(self, key: str) -> None:
        """Forget what is there, if anything is."""
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)
