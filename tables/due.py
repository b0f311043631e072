"""Which keys want attention, and when: an index in memory, so that a tick scans no table."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["DueIndex"]

S = TypeVar("S")


class DueIndex(Generic[S]):
    """Per partition, a heap of (due, key). Not durable: built from the table when first asked.

    An entry may be earlier than the key's state says by now; whoever takes it looks again. It is
    never later. So a key that is put a thousand times costs one entry.

    Args:
        due_ms: When a state wants attention, epoch milliseconds; None: not at all.
    """

    def __init__(self, due_ms: Callable[[S], int | None]) -> None:
        self.due_ms = due_ms
        self._heaps: dict[int, list[tuple[int, str]]] = {}
        self._known: dict[int, dict[str, int]] = {}

    def is_built(self, partition: int) -> bool:
        """Whether `build` was called since the partition was last forgotten."""
        return partition in self._heaps

    def build(self, partition: int, states: Iterable[tuple[str, S]]) -> None:
        """Start over with all of a partition's states."""
        known: dict[str, int] = {}
        for key, state in states:
            due = self.due_ms(state)
            if due is not None:
                known[key] = due
        heap = [(due, key) for key, due in known.items()]
        heapq.heapify(heap)
        self._known[partition] = known
        self._heaps[partition] = heap

    def forget(self, partition: int) -> None:
        """The partition went to another worker, or comes anew."""
        self._heaps.pop(partition, None)
        self._known.pop(partition, None)

    def put(self, partition: int, key: str, state: S | None) -> None:
        """Take note of a key's state after a change; None: deleted."""
        if partition not in self._heaps:
            return
        known = self._known[partition]
        due = None if state is None else self.due_ms(state)
        if due is None:
            known.pop(key, None)
        elif due < known.get(key, due + 1):
            known[key] = due
            heapq.heappush(self._heaps[partition], (due, key))

    def take(self, partition: int, at_ms: int, limit: int) -> list[str]:
        """Take out at most `limit` keys that are due at `at_ms`, earliest first, each once."""
        heap, known = self._heaps[partition], self._known[partition]
        keys: list[str] = []
        while heap and heap[0][0] <= at_ms and len(keys) < limit:
            due, key = heapq.heappop(heap)
            if known.get(key) == due:
                del known[key]
                keys.append(key)
        return keys

    def size(self) -> int:
        """How many keys are waiting, in all partitions."""
        return sum(len(known) for known in self._known.values())
