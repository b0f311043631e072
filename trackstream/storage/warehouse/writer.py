"""The transaction: rows and offsets together, by the one writer that owns the partitions."""

from __future__ import annotations

import io
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg2

from trackstream.storage.consumer.offsets import advance, by_cursor, claim
from trackstream.storage.database import connect
from trackstream.storage.errors import RowsRefusedError, StorageError, StorageUnavailableError
from trackstream.storage.warehouse import moved, persons, taken
from trackstream.storage.warehouse.days import Days, today_utc
from trackstream.storage.warehouse.rows import rejected_row
from trackstream.storage.warehouse.staging import as_csv
from trackstream.storage.warehouse.statements import AFTER, DIMENSIONS, INSERTS, STAGED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import date

    from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

    from trackstream.storage.consumer import Partition
    from trackstream.storage.consumer.offsets import Claim
    from trackstream.storage.warehouse.batch import Batch

__all__ = ["Writer"]

_CHUNK_BYTES = 1 << 18
_TRIES = 10

# SQLSTATE classes: data, constraint, program limit (a key too long for an index).
_OF_THE_ROWS = frozenset({"22", "23", "54"})
_NO_PARTITION = "23514"  # check_violation; the warehouse's tables have no other checks
# Connection, transaction rollback (deadlock), resources, object state, operator, system.
_OF_THE_MOMENT = frozenset({"08", "40", "53", "55", "57", "58"})


class _DayGoneError(RowsRefusedError):
    """A partition was dropped since we have seen it."""


class Writer:
    """One connection's writer; not for several threads at once. Calls block.

    Args:
        url: The database, migrated.
        group: The consumer group under which offsets are kept.
        today: Tells the day that it is, in UTC: near it, days have partitions of their own.
    """

    def __init__(self, url: str, group: str, *, today: Callable[[], date] = today_utc) -> None:
        self._url = url
        self._group = group
        self._connection: Connection | None = None
        self._days = Days(today)

    def close(self) -> None:
        """Disconnect; the next call connects anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def claim(self, partitions: Iterable[Partition]) -> dict[Partition, Claim]:
        """Take the partitions over: from now on transactions of earlier owners fail.

        Raises:
            StorageUnavailableError: Try again later.
        """
        with self._transaction() as cursor:
            return claim(by_cursor(cursor), self._group, partitions)

    def write(self, batch: Batch, epochs: dict[Partition, int]) -> Counter[str]:
        """Write a batch's rows and offsets; return the number of rows by table.

        Args:
            batch: What to write.
            epochs: Of the claims under which its messages were read.

        Raises:
            WriterFencedError: A partition has another owner; nothing was written.
            RowsRefusedError: PostgreSQL refuses a value; nothing was written.
            StorageUnavailableError: Try again later; nothing was written, or all was and the
                confirmation was lost. Then the same rows are no new rows.
        """
        for _ in range(_TRIES - 1):
            # Retention drops what is empty, and so may drop what was just made for this batch.
            with suppress(_DayGoneError):
                return self._write(batch, epochs)
        return self._write(batch, epochs)

    def _write(self, batch: Batch, epochs: dict[Partition, int]) -> Counter[str]:
        written: Counter[str] = Counter()
        if batch.days:
            self._ensure_days(batch.days)
        with self._transaction() as cursor:
            # First, so that a new owner's claim waits for this transaction, and sees its offsets.
            advance(by_cursor(cursor), self._group, batch.next_offsets, epochs)
            if "person_links" in batch.csv:
                cursor.execute(persons.LOCK)
            elif "fact_events" in batch.csv:
                cursor.execute(persons.LOCK_SHARED)
            for table in batch.csv:
                if table == "fact_events":
                    written += _merge_events(cursor, batch)
                else:
                    written[table] += _merge(cursor, table, batch.csv[table])
            if "fact_events" in batch.csv or "attributions" in batch.csv:
                for table, statement in DIMENSIONS.items():
                    cursor.execute(statement)
                    written[table] += cursor.rowcount
            if "person_links" in batch.csv:
                written["user_id_map"] += persons.settle(cursor)
            if "fact_events" in batch.csv:
                cursor.execute(persons.FOLLOW_EVENTS)
        return +written

    def _ensure_days(self, days: Iterable[int]) -> None:
        with self._translated():
            self._days.ensure(self._connected(), days)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with self._translated():
            connection = self._connected()
            with connection, connection.cursor() as cursor:
                yield cursor

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg2.Error as error:
            said = str(error).strip().partition("\n")[0]
            kind = (error.pgcode or "08")[:2]
            if error.pgcode == _NO_PARTITION:
                self._days.forget()
                raise _DayGoneError(said) from error
            if kind in _OF_THE_ROWS:
                raise RowsRefusedError(said) from error
            self.close()
            if kind in _OF_THE_MOMENT:
                raise StorageUnavailableError(f"PostgreSQL: {said}") from error
            raise StorageError(f"PostgreSQL refuses what the warehouse does: {said}") from error

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._days.forget()
            connection = self._connection = connect(self._url)
            with connection, connection.cursor() as cursor:
                # A writer that hangs in the middle must not keep the next owner waiting.
                cursor.execute("SET idle_in_transaction_session_timeout = '60s'")
                for staged in STAGED.values():
                    cursor.execute(staged.create)
        return self._connection


def _merge(cursor: Any, table: str, rows: bytes) -> int:
    """Stage a table's rows, and have them in it; how many are new."""
    _stage(cursor, table, rows)
    cursor.execute(INSERTS[table])
    new: int = cursor.rowcount
    if table in AFTER:
        cursor.execute(AFTER[table])
    return new


def _merge_events(cursor: Any, batch: Batch) -> Counter[str]:
    """Have the batch's events in their table, and in `rejected` those whose id is another's."""
    staged = _stage(cursor, "fact_events", batch.csv["fact_events"])
    if batch.other_days:
        cursor.execute(moved.removal(batch.other_days))
        staged -= cursor.rowcount
    cursor.execute(INSERTS["fact_events"])
    written = Counter(fact_events=cursor.rowcount)
    if written["fact_events"] < staged:
        cursor.execute(taken.removal(batch.days))
        refused = taken.rejections(batch, cursor.fetchall())
        if refused:
            rows = as_csv(rejected_row(one) for one in refused)
            written["rejected"] = _merge(cursor, "rejected", rows)
    return written


def _stage(cursor: Any, table: str, rows: bytes) -> int:
    cursor.copy_expert(STAGED[table].copy, io.BytesIO(rows), _CHUNK_BYTES)
    staged: int = cursor.rowcount
    return staged
