"""What a partition knows of its idempotent producers: epoch, last sequences, where they went.

A retried batch is answered with the offset of the first copy, a gap is refused, and a producer of
an older epoch is fenced. Rules: KIP-98, KIP-360.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from trackstream.embedded.broker.protocol.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.embedded.broker.storage.batches import BatchHeader

REMEMBERED_BATCHES = 5
"""As many as a producer may have in flight, so that each of them can be retried."""

_SEQUENCES = 2**31


class WrittenBatch(NamedTuple):
    """A batch that is in the log."""

    first_sequence: int
    last_sequence: int
    base_offset: int
    timestamp_ms: int


class Verdict(NamedTuple):
    """Whether a batch is appended, is already there, or is refused."""

    error: ErrorCode
    duplicate: WrittenBatch | None = None


@dataclass(slots=True)
class Producer:
    """One producer on one partition; `seen_ms` is when it last wrote."""

    epoch: int
    seen_ms: int
    written: deque[WrittenBatch] = field(default_factory=lambda: deque(maxlen=REMEMBERED_BATCHES))

    @property
    def next_sequence(self) -> int:
        """The sequence that must come next."""
        return (self.written[-1].last_sequence + 1) % _SEQUENCES if self.written else 0


class Producers:
    """The producers of one partition, by producer id."""

    def __init__(self) -> None:
        self._producers: dict[int, Producer] = {}

    def __len__(self) -> int:
        return len(self._producers)

    def check(self, header: BatchHeader) -> Verdict:
        """Decide on a batch before it is appended."""
        known = self._producers.get(header.producer_id)
        if known is None:
            # Forgotten or new: the producer's word is all there is (KIP-360).
            return Verdict(ErrorCode.NONE)
        if header.producer_epoch < known.epoch:
            return Verdict(ErrorCode.INVALID_PRODUCER_EPOCH)
        if header.producer_epoch > known.epoch:
            in_order = header.base_sequence == 0
            return Verdict(ErrorCode.NONE if in_order else ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
        last = _last_sequence(header)
        for batch in known.written:
            if (batch.first_sequence, batch.last_sequence) == (header.base_sequence, last):
                return Verdict(ErrorCode.NONE, duplicate=batch)
        if header.base_sequence != known.next_sequence:
            return Verdict(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
        return Verdict(ErrorCode.NONE)

    def note(self, header: BatchHeader, now_ms: int) -> None:
        """Take in a batch that has been appended, or a transaction marker."""
        known = self._producers.get(header.producer_id)
        if known is None or known.epoch != header.producer_epoch:
            known = self._producers[header.producer_id] = Producer(header.producer_epoch, now_ms)
        known.seen_ms = now_ms
        if not header.is_control and header.base_sequence >= 0:
            known.written.append(
                WrittenBatch(
                    header.base_sequence,
                    _last_sequence(header),
                    header.base_offset,
                    header.max_timestamp,
                )
            )

    def forget_idle(self, before_ms: int, keep: Iterable[int]) -> None:
        """Forget who has not written since `before_ms`, unless in a transaction."""
        kept = set(keep)
        for producer_id in [
            producer_id
            for producer_id, producer in self._producers.items()
            if producer.seen_ms < before_ms and producer_id not in kept
        ]:
            del self._producers[producer_id]

    def dump(self) -> list[Any]:
        """Return the state as JSON values."""
        return [
            [producer_id, producer.epoch, producer.seen_ms, list(producer.written)]
            for producer_id, producer in self._producers.items()
        ]

    def restore(self, dumped: list[Any]) -> None:
        """Take the state from `dump`."""
        self._producers = {
            producer_id: Producer(
                epoch,
                seen_ms,
                deque((WrittenBatch(*batch) for batch in written), maxlen=REMEMBERED_BATCHES),
            )
            for producer_id, epoch, seen_ms, written in dumped
        }


def _last_sequence(header: BatchHeader) -> int:
    return (header.base_sequence + header.last_offset_delta) % _SEQUENCES
