"""Which transactions are open on a partition, and which were aborted.

The last stable offset is where the oldest open transaction begins: readers of committed records
get no further. They are told of aborted transactions, and skip their records.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from trackstream.embedded.broker.storage.batches import BatchHeader


class AbortedTransaction(NamedTuple):
    """The records of `producer_id` from `first_offset` to its marker at `last_offset`."""

    producer_id: int
    first_offset: int
    last_offset: int


class TransactionIndex:
    """The transactions of one partition."""

    def __init__(self) -> None:
        self.open: dict[int, int] = {}
        """Producer id → first offset."""
        self.aborted: list[AbortedTransaction] = []
        """Ascending by `last_offset`."""

    def last_stable_offset(self, end_offset: int) -> int:
        """Return the offset before which every transaction has ended."""
        return min(self.open.values(), default=end_offset)

    def note(self, header: BatchHeader) -> None:
        """Take in a batch of a transaction that has been appended."""
        if header.is_transactional and not header.is_control:
            self.open.setdefault(header.producer_id, header.base_offset)

    def note_marker(self, header: BatchHeader, *, commit: bool) -> None:
        """Take in a marker that has been appended."""
        first_offset = self.open.pop(header.producer_id, None)
        if first_offset is not None and not commit:
            self.aborted.append(
                AbortedTransaction(header.producer_id, first_offset, header.base_offset)
            )

    def aborted_between(self, offset: int, end_offset: int) -> list[AbortedTransaction]:
        """Return the aborted transactions with records in this range."""
        first = bisect_left(self.aborted, offset, key=lambda aborted: aborted.last_offset)
        return [aborted for aborted in self.aborted[first:] if aborted.first_offset < end_offset]

    def forget_aborted(self, before_offset: int) -> None:
        """Forget aborted transactions that ended before an offset: their records are gone."""
        self.aborted = [item for item in self.aborted if item.last_offset >= before_offset]

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {"open": list(self.open.items()), "aborted": self.aborted}

    def restore(self, dumped: dict[str, Any]) -> None:
        """Take the state from `dump`."""
        self.open = dict(dumped["open"])
        self.aborted = [AbortedTransaction(*item) for item in dumped["aborted"]]
