"""Records in the warehouse's tables, written as the warehouse writes them."""

from __future__ import annotations

from contextlib import closing, contextmanager
from datetime import date
from itertools import count
from typing import TYPE_CHECKING

from trackstream.codec import encode
from trackstream.storage.warehouse.batch import Message, batches
from trackstream.storage.warehouse.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trackstream.core.records import Record


TODAY = date(2025, 7, 11)
"""The day that it is to the writers of tests, so that the names of partitions stay as they are."""


def today() -> date:
    return TODAY


def write(url: str, *records: Record, first_offset: int = 0, topic: str = "t") -> None:
    """Write the records into a migrated database."""
    with writing(url, first_offset=first_offset, topic=topic) as written:
        written(*records)


@contextmanager
def writing(url: str, *, first_offset: int = 0, topic: str = "t") -> Iterator[Callable[..., None]]:
    """What writes records again and again, as one writer of a migrated database."""
    offsets = count(first_offset)
    with closing(Writer(url, "test", today=today)) as writer:
        claimed = writer.claim([(topic, 0)])
        epochs = {one: claim.epoch for one, claim in claimed.items()}

        def written(*records: Record) -> None:
            messages = [Message(topic, 0, next(offsets), encode(record)) for record in records]
            for batch in batches(messages, version="1.2.3"):
                writer.write(batch, epochs)

        yield written
