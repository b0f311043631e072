"""Kafka as the agents use it: Faust's transport, writing whole batches.

Faust's `send` costs one future, one sensor call and one partition hash for each record; aiokafka's
batch interface builds the records of one partition together and has one future for all of them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from aiokafka.errors import ConsumerStoppedError, UnknownTopicOrPartitionError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service
from mode.utils.queues import FlowControlEvent

from agents.pauses import Pauses
from trackstream.core import murmur

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping

    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
    from aiokafka.producer.message_accumulator import BatchBuilder
    from faust.transport.consumer import RecordMap
    from mode import ServiceT

__all__ = ["Consumer", "FlowControl", "Outgoing", "Producer", "Transport", "partition_of"]


T = TypeVar("T")

_FETCH_WAIT_MS = 100
_LOOK_EVERY_S = 0.25
_YIELD_EVERY = 100
_ASK_S = 5.0


class Outgoing(NamedTuple):
    """A record to be written."""

    topic: str
    """With its prefix."""
    partition: int | None
    """None: where the key hashes to."""
    key: bytes | None
    value: bytes | None
    """None: a tombstone."""


partition_of = lru_cache(maxsize=65_536)(murmur.partition_of)
"""The partition of a key, remembered: an agent writes the same keys again and again."""


class Producer(driver.Producer):
    """Faust's producer, with `deliver`."""

    async def deliver(self, records: Iterable[Outgoing]) -> dict[tuple[str, int], int]:
        """Write records and wait until all are acknowledged by all replicas.

        Records of one partition are written in the order given.

        Returns:
            The offset of the last record of each (topic, partition).

        Raises:
            StoodStillError: This process stood still for so long that others may have taken over.
            aiokafka.errors.KafkaError: At least one was not acknowledged within the producer's
                request timeout, or was refused. The others may have been written.
        """
        cast("Consumer", self.app.consumer).refuse_after_pause()
        grouped: defaultdict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        counts: dict[str, int] = {}
        producer: AIOKafkaProducer = self._ensure_producer()
        for record in records:
            partition = record.partition
            if partition is None:
                count = counts.get(record.topic)
                if count is None:
                    count = counts[record.topic] = len(await producer.partitions_for(record.topic))
                partition = partition_of(record.key or b"", count)
            grouped[record.topic, partition].append(record)
        last = await _settled(
            self._write(producer, *place, group) for place, group in grouped.items()
        )
        return dict(zip(grouped, last, strict=True))

    @staticmethod
    async def _write(
        producer: AIOKafkaProducer, topic: str, partition: int, records: list[Outgoing]
    ) -> int:
        """Write one partition's records; the offset of the last."""
        pending: list[tuple[asyncio.Future[Any], int]] = []
        builder: BatchBuilder = producer.create_batch()
        for record in records:
            if builder.append(timestamp=None, key=record.key, value=record.value) is None:
                sent = await producer.send_batch(builder, topic, partition=partition)
                pending.append((sent, builder.record_count()))
                builder = producer.create_batch()
                builder.append(timestamp=None, key=record.key, value=record.value)
        sent = await producer.send_batch(builder, topic, partition=partition)
        pending.append((sent, builder.record_count()))
        written = await _settled(one for one, _ in pending)
        return int(written[-1].offset) + pending[-1][1] - 1


async def _settled(writes: Iterable[Awaitable[T]]) -> list[T]:
    """Their results, or the first failure, once none is under way: others may replace them."""
    found = await asyncio.gather(*writes, return_exceptions=True)
    done: list[T] = []
    for one in found:
        if isinstance(one, BaseException):
            raise one
        done.append(one)
    return done


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    pauses: Pauses | None = None

    @Service.task
    async def _notice_pauses(self) -> None:
        """In this thread, which tells the group that we are there."""
        self.pauses = Pauses(self.app.conf.producer_request_timeout)
        while not self.should_stop:
            self.pauses.look(self.app.consumer_generation_id, at_s=monotonic())
            await asyncio.sleep(_LOOK_EVERY_S)

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust fixes 1.5 s. A connection answers in order, so whatever is asked behind an idle
        # fetch waits that long; and aiokafka leaves partitions out of a fetch whose last records
        # were not yet taken when it was sent, so what comes to them waits for its end.
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS  # noqa: SLF001 - no setting leads there
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go back to where the group is: to the beginning where nothing was committed.

        aiokafka stays where it is then, past whatever was fetched and dropped meanwhile.
        """
        committed = await super().seek_to_committed()
        changelogs = self.app.tables.changelog_topics
        never = [tp for tp, at in committed.items() if not at and tp.topic not in changelogs]
        if never:
            await self.call_thread(self._ensure_consumer().seek_to_beginning, *never)
        return committed

    async def read_of(self, topics: Iterable[str]) -> tuple[Mapping[TP, int], Mapping[TP, int]]:
        """See `Consumer.read_of`."""
        found = await self.call_thread(self._read_of, topics)
        return cast("tuple[Mapping[TP, int], Mapping[TP, int]]", found)

    async def _read_of(self, topics: Iterable[str]) -> tuple[Mapping[TP, int], Mapping[TP, int]]:
        consumer = self._ensure_consumer()
        places: list[TP] = []
        for topic in topics:
            partitions = consumer.partitions_for_topic(topic)
            if not partitions:
                raise UnknownTopicOrPartitionError(topic)
            places += [TP(topic, partition) for partition in partitions]
        async with asyncio.timeout(_ASK_S):  # one of the two who may use this thread at a time
            offsets = await asyncio.gather(*map(consumer.committed, places))
            ends = await consumer.end_offsets(places)
        pairs = zip(places, offsets, strict=True)
        return {place: offset for place, offset in pairs if offset is not None}, ends


class Consumer(driver.Consumer):
    """Faust's consumer, whose idle fetches last less."""

    async def read_of(self, *topics: str) -> tuple[Mapping[TP, int], Mapping[TP, int]]:
        """How much the group has read of these topics, whichever worker does.

        Returns:
            The group's committed offset of each partition that has one; and the offset after the
            last record of each, which is no older.

        Raises:
            aiokafka.errors.KafkaError: It cannot be asked now.
            TimeoutError: It does not answer.
        """
        return await cast("_ConsumerThread", self._thread).read_of(topics)

    def refuse_after_pause(self) -> None:
        """Raise StoodStillError if what is in hand may be another worker's by now."""
        pauses = cast("_ConsumerThread", self._thread).pauses
        if pauses is not None:
            pauses.refuse(self.app.consumer_generation_id, at_s=monotonic())

    async def wait_empty(self) -> None:
        """Wait until the batches in hand are acknowledged; not after a crash.

        Then nobody will acknowledge them, and Faust asks its consumer's thread, which ends by the
        same crash, for a last commit: the process stayed, neither working nor gone.
        """
        if not self.crashed:
            await super().wait_empty()

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:  # noqa: ASYNC109 - Faust's name
        """Fetch records of these partitions alone, whatever becomes of the set meanwhile.

        Faust gives the set that it goes on changing. At the end of a recovery that is empty for a
        moment, which aiokafka takes for all partitions: records of streams were fetched, dropped as
        not active, and never read again.
        """
        wanted = None if active_partitions is None else set(active_partitions)
        return await super()._getmany(wanted, timeout)

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Read for ever and hand each message to its stream.

        As Faust's, without its two tasks and a wait for each message (40 us): they were to break
        off delivery when the flow is suspended, which clears the queues and so ends it anyway.
        """
        try:
            while not (self.should_stop or fetcher.should_stop):
                await asyncio.sleep(0)
                count = 0
                async for tp, message in self.getmany(timeout=1.0):
                    count += 1
                    if count % _YIELD_EVERY == 0:
                        await asyncio.sleep(0)
                    read = self._read_offset[tp]
                    if read is not None and message.offset < read:
                        continue
                    acks = self.app.topics.acks_enabled_for(message.topic)
                    if read and message.offset - read > 1 and acks:
                        await self._add_gap(tp, read + 1, message.offset)
                    await self.callback(message)
                    # The wait may have lasted a rebalance, after which reading starts again from
                    # the committed offsets: what this stale message says of them must not count.
                    if message.generation_id == self.app.consumer_generation_id:
                        self._read_offset[tp] = message.offset
        except (asyncio.CancelledError, ConsumerStoppedError):
            if not self.transport.app.should_stop:
                raise


class FlowControl(FlowControlEvent):
    """Faust's flow control, which keeps what is in the queues when the flow is resumed.

    Faust clears them then, though reading has begun by then: messages that arrived between the seek
    to the committed offsets and the end of a rebalance were dropped, and never read again. Nothing
    stale is kept: a rebalance clears the queues when it begins, and `BatchStream` drops what was
    read under an earlier assignment.
    """

    def resume(self) -> None:
        """Let messages pass."""
        self._suspend.clear()
        self._resume.set()


class Transport(driver.Transport):
    """Faust's Kafka transport with our producer and consumer."""

    Producer = Producer
    Consumer = Consumer
