"""Accepted is durable: acknowledged by Kafka, or on this machine's disk until it is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

from trackstream.ports import Undelivered
from trackstream.storage.log_sink import UnwritableError
from trackstream.storage.patience import Patience
from trackstream.storage.spool.drain import Drain
from trackstream.storage.spool.queue import DiskQueue
from trackstream.storage.spool.slots import broken_files, left_behind, take_slot
from trackstream.storage.spool.state import SpoolFullError, SpoolState, SpoolUnusableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trackstream.ports import Sink
    from trackstream.settings import Settings
    from trackstream.storage.spool.rows import Message
    from trackstream.storage.spool.slots import Slot

__all__ = ["SpooledSink"]

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 5.0
_HOUR_MS = 3_600_000


def _nothing() -> None:
    """The end of the work before it."""


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


class SpooledSink:
    """`ports.Sink` before Kafka: what Kafka does not acknowledge soon goes to a spool.

    While there is anything in the spool everything goes behind it, so the order of each key holds
    in what one process accepts. A message that was not acknowledged in time may be written by Kafka
    all the same and again from the spool: at least once, as everywhere before the workers.

    Args:
        sink: Kafka.
        settings: the folder, the bounds, and how long Kafka is waited for.
        ready: whether Kafka is worth a try; if not, requests are spooled without one.
        clock_ms: the time now, in epoch milliseconds.
    """

    def __init__(
        self,
        sink: Sink,
        settings: Settings,
        *,
        ready: Callable[[], bool],
        clock_ms: Callable[[], int] = _clock_ms,
    ) -> None:
        self._sink = sink
        self._ready = ready
        self._clock_ms = clock_ms
        self._folder = settings.data_dir / "spool"
        self._max_bytes = settings.spool_max_mib * 2**20
        self._patience = Patience(settings.spool_after_ms / 1000)
        self._long_patience = Patience(float(settings.produce_timeout_s))
        self._state = SpoolState()
        self._drain = Drain(
            sink=sink,
            ready=ready,
            max_age_ms=settings.spool_max_age_h * _HOUR_MS,
            clock_ms=clock_ms,
            version=installed_version("trackstream"),
            state=self._state,
        )
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._queue: DiskQueue | None = None
        self._adopted: list[DiskQueue] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._opening: asyncio.Task[DiskQueue] | None = None

    @property
    def accepting(self) -> bool:
        """Whether what comes now would be kept if Kafka did not take it."""
        return self._queue is not None and not self._queue.refusing

    @property
    def blocked(self) -> bool:
        """Whether what comes now has to wait behind a spool that takes nothing more."""
        queue = self._queue
        return queue is not None and queue.refusing and not queue.empty

    @property
    def state(self) -> SpoolState:
        """What is kept now, and counts."""
        queues = [*self._adopted, *([] if self._queue is None else [self._queue])]
        oldest = [one.oldest_at_ms for one in queues if one.oldest_at_ms is not None]
        return replace(
            self._state,
            messages=sum(one.messages for one in queues),
            size_bytes=sum(one.size_bytes for one in queues),
            oldest_at_ms=min(oldest, default=None),
        )

    async def start(self) -> None:
        """Open the spool and start to drain what is in it and in those that were left behind.

        A disk that does not work is reported, and tried again when the spool is needed.
        """
        with contextlib.suppress(SpoolUnusableError):
            await self._opened()
        self._tasks.append(asyncio.create_task(self._adopt(), name="spool-adopt"))
        self._tasks.append(asyncio.create_task(self._watch(), name="spool-watch"))

    async def stop(self) -> None:
        """Keep what is being sent; what is still in the spool waits for the next start."""
        if self._opening is not None:
            await asyncio.wait([self._opening])
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                _log.error("the spool's work has ended before", exc_info=ended)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, _nothing)  # after what it has in hand
        left = self.state.messages
        for queue in [*self._adopted, *([] if self._queue is None else [self._queue])]:
            with contextlib.suppress(SpoolUnusableError):
                await queue.close()
        self._executor.shutdown()
        if left:
            _log.warning("%d messages stay in the spool until the next start", left)

    async def send(self, messages: list[Message]) -> None:
        """Return when Kafka has acknowledged all of the messages, or all are on the disk.

        Raises:
            Unwritten: neither, for want of room or a disk that works.
            Undelivered: neither; Kafka may have what it did not acknowledge in time.
        """
        if not messages:
            return
        is_direct = self._ready() and (self._queue is None or self._queue.empty)
        if is_direct:
            # what no spool will take is given up no sooner than without one
            patience = self._patience if self.accepting else self._long_patience
            try:
                with patience.limit():
                    await self._sink.send(messages)
            except UnwritableError:
                raise
            except (Undelivered, TimeoutError) as error:
                if self._queue is None or self._queue.empty:
                    _log.warning("what is accepted is spooled from now on: %r", error)
            else:
                return
        try:
            await (await self._opened()).append(messages)
        except (SpoolFullError, SpoolUnusableError) as error:
            if is_direct:
                raise Undelivered(f"Kafka did not acknowledge, and {error}") from error
            if not self._ready():
                raise
            await self._send_behind(messages)

    async def _send_behind(self, messages: list[Message]) -> None:
        """Write to Kafka what the spool does not take, as soon as that is empty.

        Raises:
            Undelivered: it was not, or Kafka did not acknowledge, in time.
        """
        try:
            with self._long_patience.limit():
                if self._queue is not None:
                    await self._queue.emptied.wait()
                await self._sink.send(messages)
        except TimeoutError as error:
            raise Undelivered("the spool takes nothing more and was not drained in time") from error

    async def _opened(self) -> DiskQueue:
        """The queue of this process.

        Raises:
            SpoolUnusableError: its file cannot be made.
        """
        if self._queue is not None:
            return self._queue
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open(), name="spool-open")
        # whoever stops waiting does not stop what others wait for
        return await asyncio.shield(self._opening)

    async def _open(self) -> DiskQueue:
        loop = asyncio.get_running_loop()
        try:
            slot = await loop.run_in_executor(self._executor, take_slot, self._folder)
        except OSError as error:
            self._state.errors += 1
            _log.error("there can be no spool in %s: %s", self._folder, error)
            raise SpoolUnusableError(f"there can be no spool: {error}") from error
        queue = self._queue_in(slot)
        try:
            await queue.open()
        except SpoolUnusableError:
            with contextlib.suppress(SpoolUnusableError):
                await queue.close()
            raise
        self._queue = queue
        self._tasks.append(
            asyncio.create_task(self._drain.keep_draining(queue), name="spool-drain")
        )
        return queue

    def _queue_in(self, slot: Slot) -> DiskQueue:
        return DiskQueue(
            slot,
            executor=self._executor,
            max_bytes=self._max_bytes,
            clock_ms=self._clock_ms,
            state=self._state,
        )

    async def _adopt(self) -> None:
        """Now and then drain the files whose processes are gone."""
        loop = asyncio.get_running_loop()
        while True:
            with self._going_on():
                await loop.run_in_executor(self._executor, self._look_around)
                while self._adopted:
                    await self._drain_adopted(self._adopted[0])
                    del self._adopted[0]
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _watch(self) -> None:
        """Now and then see whether a disk works again that has failed, and what is broken."""
        loop = asyncio.get_running_loop()
        while True:
            with self._going_on():
                self._state.broken_files = await loop.run_in_executor(
                    self._executor, broken_files, self._folder
                )
                if self._queue is not None:
                    await self._queue.probe()
            await asyncio.sleep(_LOOK_EVERY_S)

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        """Whatever fails here is tried again: it is told, and counted."""
        try:
            yield
        except Exception:  # noqa: BLE001 - none may end the work
            self._state.errors += 1
            _log.exception("the spool's folder %s cannot be looked after", self._folder)

    def _look_around(self) -> None:
        """In the thread: what it locks is known to `stop` whoever has stopped waiting for it."""
        for slot in left_behind(self._folder):
            self._adopted.append(self._queue_in(slot))

    async def _drain_adopted(self, queue: DiskQueue) -> None:
        try:
            await queue.open()
            await self._drain.empty(queue)
        except SpoolUnusableError:
            with contextlib.suppress(SpoolUnusableError):
                await queue.close()
        else:
            with contextlib.suppress(SpoolUnusableError):
                await queue.close(delete=True)
