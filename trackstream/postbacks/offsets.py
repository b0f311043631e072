"""How far the topic was read: in the transaction that writes what was read.

As the warehouse does it: whoever is assigned a partition claims it, the epoch beside its offset
counts up, and the transaction of an earlier owner who has not noticed fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from trackstream.storage.errors import WriterFencedError
from trackstream.storage.schema import consumer_offsets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

__all__ = ["Claim", "Partition", "advance", "claim"]

Partition = tuple[str, int]
"""Topic, with its prefix, and number."""


class Claim(NamedTuple):
    """A partition that is ours: the offset to go on from (None: nothing written yet), the epoch."""

    next_offset: int | None
    epoch: int


def claim(
    connection: Connection, group: str, partitions: Iterable[Partition]
) -> dict[Partition, Claim]:
    """Take partitions over: from now on transactions of earlier owners fail."""
    table = consumer_offsets
    rows = [
        {
            "consumer_group": group,
            "topic": topic,
            "partition": number,
            "epoch": 1,
            "updated_at": func.now(),
        }
        for topic, number in sorted(partitions)
    ]
    if not rows:
        return {}
    claimed = connection.execute(
        insert(table)
        .values(rows)
        .on_conflict_do_update(
            index_elements=[table.c.consumer_group, table.c.topic, table.c.partition],
            set_={"epoch": table.c.epoch + 1, "updated_at": func.now()},
        )
        .returning(table.c.topic, table.c.partition, table.c.next_offset, table.c.epoch)
    )
    return {(row.topic, row.partition): Claim(row.next_offset, row.epoch) for row in claimed}


def advance(
    connection: Connection,
    group: str,
    next_offsets: Mapping[Partition, int],
    epochs: Mapping[Partition, int],
) -> None:
    """Note how far was read. To be called first, so that a new owner's claim waits for the rest.

    Raises:
        WriterFencedError: A partition has another owner; the transaction must not be committed.
    """
    table = consumer_offsets
    own = (
        table.c.consumer_group == group,
        table.c.topic == bindparam("its_topic"),
        table.c.partition == bindparam("its_partition"),
    )
    for (topic, number), offset in sorted(next_offsets.items()):
        named = {"its_topic": topic, "its_partition": number}
        epoch = connection.execute(
            select(table.c.epoch).where(*own).with_for_update(), named
        ).scalar_one_or_none()
        if epoch != epochs.get((topic, number)):
            raise WriterFencedError(f"another reader owns {topic}-{number}")
        connection.execute(
            update(table).where(*own).values(next_offset=offset, updated_at=func.now()), named
        )
