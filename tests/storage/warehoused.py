"""Records in the warehouse's tables, written as the warehouse writes them."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING

from trackstream.codec import encode
from trackstream.storage.warehouse.batch import Message, batches
from trackstream.storage.warehouse.writer import Writer

if TYPE_CHECKING:
    from trackstream.core.records import Record


TODAY = date(2025, 7, 11)
"""The day that it is to the writers of tests, so that the names of partitions stay as they are."""


def today() -> date:
    return TODAY


def write(url: str, *records: Record, first_offset: int = 0, topic: str = "t") -> None:
    """Write the records into a migrated database."""
    with closing(Writer(url, "test", today=today)) as writer:
        claimed = writer.claim([(topic, 0)])
        messages = [
            Message(topic, 0, i, encode(record)) for i, record in enumerate(records, first_offset)
        ]
        for batch in batches(messages, version="1.2.3"):
            writer.write(batch, {one: claim.epoch for one, claim in claimed.items()})
