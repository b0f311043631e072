"""Reads `attributions` into the outbox, each message's effect once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from trackstream.codec import UndecodableError, decode
from trackstream.core.records import Attribution
from trackstream.core.texts import clean
from trackstream.postbacks.offsets import Claim, Partition, advance, claim
from trackstream.postbacks.outbox import queue
from trackstream.settings import Settings
from trackstream.storage.database import transaction
from trackstream.storage.errors import StorageUnavailableError, WriterFencedError
from trackstream.storage.topics import bootstrap_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Engine

__all__ = ["GROUP", "consume", "group_of"]

_log = logging.getLogger(__name__)

GROUP = "trackstream-postbacks"
"""The consumer group of an installation with the default prefix."""

_TOPIC = "attributions"
_BATCH_MESSAGES = 500
_LONGEST_CHARS = 512
_POLL_MS = 200
_PAUSE_S = 1.0
_COMMIT_EVERY_S = 2.0

_T = TypeVar("_T")


class _Read(NamedTuple):
    """What was read of the partitions that were ours then."""

    values: list[bytes | None]
    next_offsets: dict[Partition, int]


def group_of(settings: Settings) -> str:
    """The consumer group: one for each prefix, so that installations may share a cluster."""
    prefix = settings.topic_prefix
    return GROUP if prefix == Settings().topic_prefix else prefix + GROUP


async def consume(
    settings: Settings,
    engine: Engine,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
    on_queued: Callable[[], None],
) -> None:
    """Queue what attributions trigger until `stop` is set.

    Args:
        settings: Name Kafka and the topic.
        engine: The database, migrated.
        stop: When set, the batch in hand is written, the group is left, and the call returns.
        on_ready: Called once, when partitions have been claimed for the first time.
        on_queued: Called whenever there is something new to send.

    Raises:
        KafkaError: Kafka does not answer at the start.
    """
    ready = [on_ready]
    while not stop.is_set():
        member = _Member(settings, engine, stop=stop, ready=ready, on_queued=on_queued)
        try:
            await member.run()
        except WriterFencedError as error:
            _log.warning("%s: joining the group again", error)


class _Member(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One membership in the group, until it is stopped or fenced."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        *,
        stop: asyncio.Event,
        ready: list[Callable[[], None]],
        on_queued: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._stop = stop
        self._ready = ready
        self._on_queued = on_queued
        self._topic = settings.topic_prefix + _TOPIC
        self._group = group_of(settings)
        self._consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers(settings.kafka_url),
            client_id=GROUP,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_interval_ms=600_000,  # an outage of PostgreSQL is sat out
            fetch_max_wait_ms=_POLL_MS,
        )
        self._unclaimed: set[Partition] | None = None
        self._epochs: dict[Partition, int] = {}
        self._positions: dict[Partition, int] = {}
        self._generation = 0
        self._committed_at_s = time.monotonic()

    async def run(self) -> None:
        """Join, and work until stopped; always leaves the group."""
        self._consumer.subscribe([self._topic], listener=self)
        try:
            await self._consumer.start()
            while not self._stop.is_set():
                await self._step()
        finally:
            await self._consumer.stop()

    async def on_partitions_revoked(self, _: Iterable[TopicPartition]) -> None:
        """What was read of them is not written any more."""
        self._forget()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Have the loop claim them."""
        self._forget()
        self._unclaimed = {(one.topic, one.partition) for one in assigned}

    def _forget(self) -> None:
        self._generation += 1
        self._unclaimed = None
        self._epochs, self._positions = {}, {}

    async def _step(self) -> None:
        if self._unclaimed is not None:
            await self._claim(self._unclaimed)
        generation, epochs = self._generation, self._epochs
        read = await self._read()
        if generation != self._generation or not read.next_offsets:
            return
        try:
            new = await self._persisted(lambda: self._write(read, epochs))
        except WriterFencedError:
            if generation == self._generation:
                raise
            return
        if new:
            self._on_queued()
        if time.monotonic() - self._committed_at_s > _COMMIT_EVERY_S:
            await self._commit(read.next_offsets)

    async def _claim(self, partitions: set[Partition]) -> None:
        generation = self._generation
        claims = await self._persisted(lambda: self._claimed(partitions)) or {}
        try:
            ends = await self._consumer.end_offsets([TopicPartition(*one) for one in partitions])
        except KafkaError as error:
            _log.warning("postbacks wait for Kafka: %r", error)
            return
        if generation != self._generation or self._stop.is_set():
            return
        for partition, its in claims.items():
            start = its.next_offset or 0
            if start > ends[TopicPartition(*partition)]:
                # Postbacks are known by their keys: reading from the start sends nothing again.
                _log.warning("%s-%d was made anew: reading all of it", *partition)
                start = 0
            self._epochs[partition] = its.epoch
            self._positions[partition] = start
            self._consumer.seek(TopicPartition(*partition), start)
        self._unclaimed = None
        _log.info("postbacks: reading %d partitions", len(claims))
        while self._ready:
            self._ready.pop()()

    def _claimed(self, partitions: set[Partition]) -> dict[Partition, Claim]:
        with transaction(self._engine) as connection:
            return claim(connection, self._group, partitions)

    async def _read(self) -> _Read:
        polled = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_BATCH_MESSAGES)
        read = _Read([], {})
        for partition, records in polled.items():
            key = (partition.topic, partition.partition)
            position = self._positions.get(key)
            if position is None:
                continue  # fetched before it was claimed
            new = [record for record in records if record.offset >= position]
            if new:
                read.values.extend(record.value for record in new)
                read.next_offsets[key] = self._positions[key] = new[-1].offset + 1
        return read

    def _write(self, read: _Read, epochs: dict[Partition, int]) -> int:
        attributions = [one for value in read.values if (one := _attribution(value)) is not None]
        with transaction(self._engine) as connection:
            advance(connection, self._group, read.next_offsets, epochs)
            return queue(connection, attributions, now_ms=int(time.time() * 1000))

    async def _persisted(self, call: Callable[[], _T]) -> _T | None:
        """The call's result, however long PostgreSQL is away; None when we are to stop."""
        waited = False
        while True:
            try:
                return await asyncio.to_thread(call)
            except StorageUnavailableError as error:
                if not waited:
                    _log.warning("postbacks wait: %s", error)
                waited = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _PAUSE_S)
                if self._stop.is_set():
                    return None

    async def _commit(self, next_offsets: dict[Partition, int]) -> None:
        """Tell Kafka, too, for the tools that show lag; PostgreSQL is what counts."""
        self._committed_at_s = time.monotonic()
        offsets = {TopicPartition(*one): offset for one, offset in next_offsets.items()}
        try:
            await self._consumer.commit(offsets)
        except (KafkaError, ValueError) as error:
            _log.debug("lag tools will see older offsets: %r", error)


def _attribution(value: bytes | None) -> Attribution | None:
    """The record; None for what is none, which the warehouse keeps as rejected."""
    try:
        record = decode(value)
    except UndecodableError as error:
        _log.warning("no attribution: %s", error)
        return None
    if not isinstance(record, Attribution):
        return None
    names = (record.conversion_id, record.person, record.event)
    if any(len(name) > _LONGEST_CHARS or clean(name) != name for name in names):
        _log.warning("an attribution that no database can hold: %.80r", record.conversion_id)
        return None
    return record
