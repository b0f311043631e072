"""Messages on their way to the log, gathered by partition.

aiokafka's `send` makes a future, finds the partition and looks at its metadata for each message, a
request waits for several, and that was a fifth of what a click cost. Here what is sent within some
milliseconds to one partition becomes one batch with one future, and a request waits once.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from typing import TYPE_CHECKING, Any

from aiokafka.errors import MessageSizeTooLargeError, ProducerClosed

from trackstream.core.murmur import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiokafka import AIOKafkaProducer
    from aiokafka.producer.message_accumulator import BatchBuilder

__all__ = ["Lanes"]

_RECORD_OVERHEAD_BYTES = 100
"""At most, of a batch of one record without headers."""


class Lanes:
    """Every partition that one producer writes to.

    Args:
        producer: started; it should not linger itself.
        linger_s: how long the first message for a partition waits for others. While a batch of the
            partition is on its way all that comes waits for its end, and goes together then.
        max_message_bytes: a larger one is refused.
    """

    def __init__(
        self, producer: AIOKafkaProducer, *, linger_s: float, max_message_bytes: int
    ) -> None:
        self.producer = producer
        self._linger_s = linger_s
        self._max_message_bytes = max_message_bytes - _RECORD_OVERHEAD_BYTES
        self._partitions: dict[str, int] = {}
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._due: list[_Lane] = []
        self._running: set[asyncio.Task[None]] = set()

    async def send(self, messages: Iterable[tuple[str, bytes, bytes]]) -> None:
        """Write (topic, key, value) messages; return when all are acknowledged.

        Those of one key, of this call and of others, are written in the order of the calls.

        Raises:
            aiokafka.errors.KafkaError: at least one was refused, or not acknowledged in time;
                some may have been written.
        """
        placed = []
        for topic, key, value in messages:
            if len(key) + len(value) > self._max_message_bytes:
                raise MessageSizeTooLargeError(f"a message of {topic} has {len(value)} bytes")
            count = self._partitions.get(topic)
            if count is None:
                count = self._partitions[topic] = len(await self.producer.partitions_for(topic))
            placed.append(((topic, partition_of(key, count)), key, value))
        if not placed:
            return
        parcel = _Parcel(len(placed))
        for place, key, value in placed:
            lane = self._lanes.get(place)
            if lane is None:
                lane = self._lanes[place] = _Lane(self.producer, *place)
            if lane.add(key, value, parcel):
                self._start_soon(lane)
        await parcel.arrived

    def _start_soon(self, lane: _Lane) -> None:
        if not self._due:
            asyncio.get_running_loop().call_later(self._linger_s, self._start_all)
        self._due.append(lane)

    def _start_all(self) -> None:
        due, self._due = self._due, []
        # a topic may be given more partitions: aiokafka learns of that by and by
        cluster = self.producer.client.cluster
        for topic in {lane.topic for lane in due}:
            partitions = cluster.partitions_for_topic(topic)
            if partitions:
                self._partitions[topic] = len(partitions)
        for lane in due:
            task = asyncio.create_task(lane.run())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def flush(self) -> None:
        """Wait until all that was sent is acknowledged or refused."""
        self._start_all()
        if self._running:
            await asyncio.wait(self._running)

    def abandon(self) -> None:
        """Stop trying; whoever still waits is told so."""
        for task in self._running:
            task.cancel()


class _Parcel:
    """What one call of `send` waits for."""

    __slots__ = ("_left", "arrived")

    def __init__(self, messages: int) -> None:
        self._left = messages
        self.arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, error: BaseException | None) -> None:
        """One of its messages has arrived, or has not."""
        if self.arrived.done():
            return
        if error is not None:
            self.arrived.set_exception(error)
            return
        self._left -= 1
        if not self._left:
            self.arrived.set_result(None)


class _Batch:
    """Messages that go together."""

    __slots__ = ("builder", "parcels")

    def __init__(self, builder: BatchBuilder) -> None:
        self.builder = builder
        self.parcels: list[_Parcel] = []

    @property
    def is_wanted(self) -> bool:
        """Whether anyone still waits for it: who was told that it failed may send it again."""
        return any(not parcel.arrived.done() for parcel in self.parcels)

    def settle(self, error: Exception | None) -> None:
        """Tell whoever waits that it has arrived, or why it has not."""
        for parcel in self.parcels:
            # each its own: an exception that is raised in many tasks grows by a traceback in each
            parcel.settle(error and copy.copy(error))


class _Lane:
    """One partition: at most one batch on its way, and those behind it."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int) -> None:
        self.topic = topic
        self._producer = producer
        self._partition = partition
        self._waiting: deque[_Batch] = deque()
        self._busy = False

    def add(self, key: bytes, value: bytes, parcel: _Parcel) -> bool:
        """Put a message behind all that there are; whether the lane has to be started."""
        waiting = self._waiting
        batch = waiting[-1] if waiting else self._opened()
        if batch.builder.append(timestamp=None, key=key, value=value) is None:  # it is full
            batch = self._opened()
            batch.builder.append(timestamp=None, key=key, value=value)
        batch.parcels.append(parcel)
        busy, self._busy = self._busy, True
        return not busy

    def _opened(self) -> _Batch:
        batch = _Batch(self._producer.create_batch())
        self._waiting.append(batch)
        return batch

    async def run(self) -> None:
        """Write batches until there is none."""
        try:
            while self._waiting:
                batch = self._waiting.popleft()
                if batch.is_wanted:
                    batch.settle(await self._written(batch))
        except asyncio.CancelledError:
            while self._waiting:
                self._waiting.popleft().settle(ProducerClosed())
            raise
        finally:
            self._busy = False

    async def _written(self, batch: _Batch) -> Exception | None:
        """None when the batch is acknowledged, or why it is not."""
        try:
            sent: asyncio.Future[Any] = await self._producer.send_batch(
                batch.builder, self.topic, partition=self._partition
            )
            await sent
        except asyncio.CancelledError:
            batch.settle(ProducerClosed())
            raise
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it is
            return error
        return None
