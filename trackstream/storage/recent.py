"""A bounded memory of what was looked up last."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Recent"]

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Recent(Generic[K, T]):
    """The values of at least `capacity` / 2 and at most `capacity` keys used last.

    Two generations: a full young one becomes the old one, and what is used again moves to the
    young. As an LRU that costs one dictionary access for a hit.

    Args:
        capacity: Most entries kept; at least 2.
    """

    def __init__(self, capacity: int) -> None:
        self._generation = max(1, capacity // 2)
        self._young: dict[K, T] = {}
        self._old: dict[K, T] = {}

    def get(self, key: K) -> T | None:
        """The value, or None when it was not put or is forgotten."""
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: K, value: T) -> None:
        """Remember the value."""
        if len(self._young) >= self._generation and key not in self._young:
            self._old = self._young
            self._young = {}
        self._young[key] = value

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
