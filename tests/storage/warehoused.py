"""Records in the warehouse's tables, written as the warehouse writes them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from trackstream.codec import encode
from trackstream.storage.warehouse.batch import Message, batches
from trackstream.storage.warehouse.writer import Writer

if TYPE_CHECKING:
    from trackstream.core.records import Record


def write(url: str, *records: Record, first_offset: int = 0, topic: str = "t") -> None:
    """Write the records into a migrated database."""
    with closing(Writer(url, "test")) as writer:
        claimed = writer.claim([(topic, 0)])
        messages = [
            Message(topic, 0, i, encode(record)) for i, record in enumerate(records, first_offset)
        ]
        for batch in batches(messages, version="1.2.3"):
            writer.write(batch, {one: claim.epoch for one, claim in claimed.items()})
