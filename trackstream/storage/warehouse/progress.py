"""What a warehouse consumer has done so far, for logs and for benchmarks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Progress"]


@dataclass(slots=True)
class Progress:
    """Counters of one consumer, since it was started; read them at any time.

    Attributes:
        rows: Rows inserted or updated, by table; what was there already does not count.
        messages: Messages whose transaction was committed.
        batches: Transactions.
        prepare_s: Seconds spent decoding, in this process.
        write_s: Seconds spent waiting for PostgreSQL; overlaps with decoding.
    """

    rows: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    batches: int = 0
    prepare_s: float = 0.0
    write_s: float = 0.0

    def __str__(self) -> str:
        rows = ", ".join(f"{count} {table}" for table, count in sorted(self.rows.items()))
        return f"{self.messages} messages in {self.batches} transactions: {rows or 'no rows'}"
