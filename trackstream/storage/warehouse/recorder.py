"""Writing prepared batches beside the loop, one transaction at a time, whatever gets in its way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

from trackstream.storage.errors import StorageUnavailableError
from trackstream.storage.warehouse.batch import Batch, Message, batches, refused
from trackstream.storage.warehouse.writer import Claim, Partition, RowsRefusedError, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trackstream.storage.warehouse.progress import Progress

__all__ = ["Recorder", "StoppedError"]

_log = logging.getLogger(__name__)

_BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_HANDOVER_S = 5.0

T = TypeVar("T")


class StoppedError(Exception):
    """Something stays unwritten, because we are to stop; it is read again at the next start."""


class Recorder:
    """A writer with patience: waits for PostgreSQL, and finds the message that it refuses.

    Args:
        writer: Owned from now on.
        stop: When set, an outage is no longer waited for.
        progress: Where to count.
    """

    def __init__(self, writer: Writer, *, stop: asyncio.Event, progress: Progress) -> None:
        self._writer = writer
        self._stop = stop
        self._progress = progress
        self._version = version("trackstream")
        self._writing: asyncio.Task[None] | None = None
        self._written: dict[Partition, int] = {}

    async def claim(self, partitions: Iterable[Partition]) -> dict[Partition, Claim]:
        """As `Writer.claim`, however long PostgreSQL is away. No transaction may be under way."""
        return await self._persist(lambda: self._writer.claim(partitions))

    def begin(self, prepared: list[Batch], epochs: dict[Partition, int]) -> None:
        """Write the batches in order, in the background; the one before must have settled."""
        self._writing = asyncio.create_task(self._write(prepared, dict(epochs)))

    async def wait(self) -> None:
        """Give what is under way some seconds to end; raises nothing of its own."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=_HANDOVER_S)

    def written_up_to(self) -> dict[Partition, int]:
        """The offsets after what was committed since the last call."""
        written, self._written = self._written, {}
        return written

    async def close(self) -> None:
        """End what is under way, soon, and disconnect; without its commit it never was."""
        await self.wait()
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await writing
        await asyncio.to_thread(self._writer.close)

    async def settled(self) -> None:
        """Return when no transaction is under way; raise what the last one raised."""
        writing, self._writing = self._writing, None
        if writing is not None:
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                self._writing = writing
                raise

    async def prepared(self, messages: list[Message]) -> list[Batch]:
        """Decode, in a thread."""
        began_s = time.perf_counter()
        prepared = await asyncio.to_thread(lambda: list(batches(messages, version=self._version)))
        self._progress.prepare_s += time.perf_counter() - began_s
        return prepared

    async def _write(self, prepared: list[Batch], epochs: dict[Partition, int]) -> None:
        for batch in prepared:
            await self._write_one(batch, epochs)

    async def _write_one(self, batch: Batch, epochs: dict[Partition, int]) -> None:
        began_s = time.perf_counter()
        try:
            written = await self._persist(lambda: self._writer.write(batch, epochs))
        except RowsRefusedError as error:
            # One value spoils the transaction: find its message by halves, keep it as rejected.
            for half in _halves(batch.messages, error):
                await self._write(await self.prepared(half), epochs)
            return
        self._progress.rows += written
        self._progress.messages += len(batch.messages)
        self._progress.batches += 1
        self._progress.write_s += time.perf_counter() - began_s
        self._written.update(batch.next_offsets)

    async def _persist(self, call: Callable[[], T]) -> T:
        """The call's result, however long PostgreSQL is away.

        Raises:
            StoppedError: We are told to stop meanwhile; what comes after must not be written.
        """
        tries = 0
        while True:
            try:
                result = await asyncio.to_thread(call)
            except StorageUnavailableError as error:
                if tries == 0:
                    _log.warning("the warehouse waits: %s", error)
                if self._stop.is_set():
                    raise StoppedError from error
                with contextlib.suppress(TimeoutError):
                    pause_s = _BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)]
                    await asyncio.wait_for(self._stop.wait(), pause_s)
                tries += 1
            else:
                if tries:
                    _log.info("the warehouse goes on after %d tries", tries)
                return result


def _halves(messages: Sequence[Message], error: RowsRefusedError) -> list[list[Message]]:
    if len(messages) > 1:
        middle = len(messages) // 2
        return [list(messages[:middle]), list(messages[middle:])]
    if messages[0].refusal is not None:
        raise error  # not even the row that says so can be written: nothing of the message's
    return [[refused(messages[0], str(error))]]
