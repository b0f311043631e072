"""How far topics were read, in the PostgreSQL transaction that writes what was read.

Whoever is assigned a partition claims it: the epoch beside its offset counts up. A writer that was
replaced without noticing (a long pause, a lost network) finds another epoch than its own, and must
not commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from trackstream.storage.consumer.steps import Claimed, Partition
from trackstream.storage.errors import WriterFencedError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Claim", "Execute", "advance", "by_connection", "by_cursor", "claim", "claimed"]

Execute = Callable[[str, Mapping[str, Any]], Sequence[Sequence[Any]]]
"""Runs a statement in the transaction under way, and returns its rows."""

_CLAIM = """
INSERT INTO consumer_offsets AS mine (consumer_group, topic, partition, epoch, updated_at)
SELECT %(group)s, topic, number, 1, now()
FROM unnest(%(topics)s::text[], %(numbers)s::integer[]) AS wanted (topic, number)
ON CONFLICT (consumer_group, topic, partition)
DO UPDATE SET epoch = mine.epoch + 1, updated_at = now()
RETURNING topic, partition, next_offset, epoch
"""

_ADVANCE = """
UPDATE consumer_offsets AS mine SET next_offset = read.next_offset, updated_at = now()
FROM unnest(
    %(topics)s::text[], %(numbers)s::integer[], %(offsets)s::bigint[], %(epochs)s::bigint[]
) AS read (topic, number, next_offset, epoch)
WHERE mine.consumer_group = %(group)s AND mine.topic = read.topic
    AND mine.partition = read.number AND mine.epoch = read.epoch
RETURNING mine.topic, mine.partition
"""


class Claim(NamedTuple):
    """A partition that is ours: the offset to go on from (None: nothing written yet), the epoch."""

    next_offset: int | None
    epoch: int


def claim(execute: Execute, group: str, partitions: Iterable[Partition]) -> dict[Partition, Claim]:
    """Take partitions over: from now on transactions of earlier owners fail."""
    # In one order for all, so that two who claim at once do not wait for each other.
    wanted = sorted(partitions)
    if not wanted:
        return {}
    rows = execute(
        _CLAIM,
        {
            "group": group,
            "topics": [topic for topic, _ in wanted],
            "numbers": [number for _, number in wanted],
        },
    )
    return {(topic, number): Claim(*rest) for topic, number, *rest in rows}


def claimed(claims: Mapping[Partition, Claim]) -> dict[Partition, Claimed]:
    """The same for the loop."""
    return {one: Claimed(its.next_offset or 0, its.next_offset or 0) for one, its in claims.items()}


def advance(
    execute: Execute,
    group: str,
    next_offsets: Mapping[Partition, int],
    epochs: Mapping[Partition, int],
) -> None:
    """Note how far was read. To be called first, so that a new owner's claim waits for the rest.

    Args:
        execute: In the transaction that writes what was read.
        group: The consumer group under which offsets are kept.
        next_offsets: By partition, the offset after what is written.
        epochs: Of the claims under which that was read.

    Raises:
        WriterFencedError: A partition has another owner; the transaction must not be committed.
    """
    read = sorted(next_offsets.items())
    moved = execute(
        _ADVANCE,
        {
            "group": group,
            "topics": [topic for (topic, _), _ in read],
            "numbers": [number for (_, number), _ in read],
            "offsets": [offset for _, offset in read],
            "epochs": [epochs[one] for one, _ in read],
        },
    )
    if len(moved) != len(read):
        lost = sorted(next_offsets.keys() - {(topic, number) for topic, number in moved})
        raise WriterFencedError(f"another writer owns {lost}")


def by_cursor(cursor: Any) -> Execute:
    """Statements by the driver's own cursor."""

    def execute(statement: str, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        cursor.execute(statement, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows

    return execute


def by_connection(connection: Connection) -> Execute:
    """Statements by a connection of SQLAlchemy's."""

    def execute(statement: str, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        return connection.exec_driver_sql(statement, dict(values)).fetchall()

    return execute
