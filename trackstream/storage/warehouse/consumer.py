"""What the warehouse does with what is read of the output topics."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from trackstream.storage.consumer import Reading, Steps, Written, consume, group_of
from trackstream.storage.consumer.offsets import claimed
from trackstream.storage.errors import InvalidValueError, RowsRefusedError
from trackstream.storage.warehouse.batch import Batch, batches, halves
from trackstream.storage.warehouse.progress import Progress
from trackstream.storage.warehouse.writer import Writer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from trackstream.settings import Settings
    from trackstream.storage.consumer import Claimed, Partition, Read

__all__ = ["READING", "run"]

READING = Reading(
    name="the warehouse",
    group="trackstream-warehouse",
    topics=("events", "sessions", "attributions", "persons", "rejected"),
)


async def run(
    settings: Settings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the output topics to PostgreSQL until `stop` is set.

    Args:
        settings: Names Kafka, PostgreSQL (migrated) and the topics.
        stop: When set, the batch in hand is written, the group is left, and the call returns.
        on_ready: Called once, when partitions have been claimed for the first time.
        progress: Where to count; a new one if not given.

    Raises:
        StorageError: PostgreSQL refuses what the warehouse does (not migrated, no rights). For
            servers that are away it waits.
    """
    url = settings.postgres_url
    if not url:
        raise InvalidValueError("TRACKSTREAM_POSTGRES_URL is not set")
    counted = progress if progress is not None else Progress()
    group = group_of(READING.group, settings)

    def steps() -> Steps[Batch]:
        return _Writing(Writer(url, group), counted).steps()

    await consume(settings, READING, steps, stop=stop, on_ready=on_ready)


class _Writing:
    """A writer, and the claims under which it writes."""

    def __init__(self, writer: Writer, progress: Progress) -> None:
        self._writer = writer
        self._progress = progress
        self._epochs: dict[Partition, int] = {}
        self._version = version("trackstream")

    def steps(self) -> Steps[Batch]:
        return Steps(
            claim=self._claim,
            prepare=self._prepare,
            write=self._write,
            close=self._writer.close,
            status=lambda: str(self._progress),
        )

    def _claim(self, partitions: Sequence[Partition]) -> Mapping[Partition, Claimed]:
        claims = self._writer.claim(partitions)
        self._epochs = {one: its.epoch for one, its in claims.items()}
        return claimed(claims)

    def _prepare(self, read: Read) -> list[Batch]:
        began_s = time.perf_counter()
        prepared = list(batches(read.messages, version=self._version))
        self._progress.prepare_s += time.perf_counter() - began_s
        return prepared

    def _write(self, batch: Batch) -> Written[Batch]:
        began_s = time.perf_counter()
        try:
            rows = self._writer.write(batch, self._epochs)
        except RowsRefusedError as error:
            # One value spoils the transaction: find its message by halves, keep it as rejected.
            return Written(instead=halves(batch, error, version=self._version))
        self._progress.rows += rows
        self._progress.messages += len(batch.messages)
        self._progress.batches += 1
        self._progress.write_s += time.perf_counter() - began_s
        return Written(next_offsets=batch.next_offsets)
