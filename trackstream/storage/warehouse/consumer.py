"""The loop: read, decode, write; and what happens when partitions come and go.

While PostgreSQL writes one batch the next is read and decoded, each in a thread, so that the
group hears from this member all the time. The offsets in PostgreSQL are the truth; Kafka is told
them now and then for the tools that show lag.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from trackstream.settings import Settings
from trackstream.storage.errors import InvalidValueError, WriterFencedError
from trackstream.storage.topics import bootstrap_servers
from trackstream.storage.warehouse.batch import Message
from trackstream.storage.warehouse.progress import Progress
from trackstream.storage.warehouse.recorder import Recorder, StoppedError
from trackstream.storage.warehouse.writer import Claim, Partition, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["GROUP", "TOPICS", "group_of", "run"]

_log = logging.getLogger(__name__)

GROUP = "trackstream-warehouse"
"""The consumer group of an installation with the default prefix."""

TOPICS = ("events", "sessions", "attributions", "persons", "rejected")

_BATCH_MESSAGES = 5000
_BATCH_S = 0.25
_POLL_MS = 200
_COMMIT_EVERY_S = 2.0
_LOG_EVERY_S = 60.0
_KAFKA_PAUSE_S = 2.0
_KAFKA_TIMEOUT_S = 5.0


async def run(
    settings: Settings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the output topics to PostgreSQL until `stop` is set.

    Args:
        settings: Names Kafka, PostgreSQL (migrated) and the topics (created).
        stop: When set, the batch in hand is written, the group is left, and the call returns.
        on_ready: Called once, when partitions have been claimed for the first time.
        progress: Where to count; a new one if not given.

    Raises:
        StorageError: PostgreSQL refuses what the warehouse does (not migrated, no rights). For
            servers that are away it waits.
    """
    if not settings.postgres_url:
        raise InvalidValueError("TRACKSTREAM_POSTGRES_URL is not set")
    progress = progress if progress is not None else Progress()
    ready = on_ready
    while not stop.is_set():
        member = _Member(settings, stop=stop, on_ready=ready, progress=progress)
        try:
            await member.run()
        except WriterFencedError as error:
            # The group has given our partitions away without our knowing: join it anew.
            _log.warning("%s: joining the group again", error)
        except (KafkaError, TimeoutError) as error:
            _log.warning("the warehouse waits for Kafka: %r", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _KAFKA_PAUSE_S)
        ready = None if member.was_ready else ready


class _Member(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One membership in the group, until it is stopped or fenced."""

    def __init__(
        self,
        settings: Settings,
        *,
        stop: asyncio.Event,
        on_ready: Callable[[], None] | None,
        progress: Progress,
    ) -> None:
        self.was_ready = False
        self._stop = stop
        self._on_ready = on_ready
        self._progress = progress
        self._recorder = Recorder(
            Writer(settings.postgres_url or "", group_of(settings)), stop=stop, progress=progress
        )
        self._topics = [settings.topic_prefix + topic for topic in TOPICS]
        self._consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers(settings.kafka_url),
            client_id=GROUP,
            group_id=group_of(settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_interval_ms=600_000,  # an outage of PostgreSQL is sat out
            heartbeat_interval_ms=1000,  # how soon a member hears that another has come
            fetch_max_wait_ms=_POLL_MS,
            max_partition_fetch_bytes=4 * 2**20,
        )
        self._unclaimed: set[Partition] | None = None
        self._epochs: dict[Partition, int] = {}
        self._positions: dict[Partition, int] = {}
        self._generation = 0
        self._committed_at_s = self._logged_at_s = time.monotonic()

    async def run(self) -> None:
        """Join, and work until stopped; always leaves the group."""
        self._consumer.subscribe(self._topics, listener=self)
        try:
            await self._consumer.start()
            with contextlib.suppress(StoppedError):
                while not self._stop.is_set():
                    await self._step()
                await self._recorder.settled()
            await self._commit()
        finally:
            await self._recorder.close()
            await self._leave()

    async def _leave(self) -> None:
        """Leave the group, a courtesy: else the others wait until the session ends."""
        # In a task: while Kafka is away the client cancels itself, and must not cancel us.
        leaving = asyncio.ensure_future(self._consumer.stop())
        await asyncio.wait([leaving], timeout=_KAFKA_TIMEOUT_S)
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError, KafkaError):
            await leaving

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let the transaction that is under way end, so that the next owner begins after it."""
        self._forget()
        if revoked:
            await self._recorder.wait()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Have the loop claim them: that may take as long as PostgreSQL is away."""
        self._forget()
        self._unclaimed = {(one.topic, one.partition) for one in assigned}

    def _forget(self) -> None:
        self._generation += 1
        self._unclaimed = None
        self._epochs = {}
        self._positions = {}

    async def _step(self) -> None:
        if self._unclaimed is not None:
            await self._claim(self._unclaimed)
        generation = self._generation
        messages = await self._gather()
        prepared = await self._recorder.prepared(messages) if messages else []
        await self._recorder.settled()
        if generation == self._generation and prepared:
            # What was read before partitions went is read again by whoever has them now.
            self._recorder.begin(prepared, self._epochs)
        if time.monotonic() - self._committed_at_s > _COMMIT_EVERY_S:
            await self._commit()
        if time.monotonic() - self._logged_at_s > _LOG_EVERY_S:
            self._logged_at_s = time.monotonic()
            _log.info("warehouse: %s", self._progress)

    async def _claim(self, partitions: set[Partition]) -> None:
        await self._recorder.settled()
        generation = self._generation
        claims = await self._recorder.claim(partitions)
        topic_partitions = [TopicPartition(*one) for one in partitions]
        async with asyncio.timeout(_KAFKA_TIMEOUT_S):
            ends = await self._consumer.end_offsets(topic_partitions) if partitions else {}
        if generation != self._generation:
            return
        for partition, claim in claims.items():
            position = _position(partition, claim, ends[TopicPartition(*partition)])
            self._epochs[partition] = claim.epoch
            self._positions[partition] = position
            self._consumer.seek(TopicPartition(*partition), position)
        self._unclaimed = None
        _log.info("warehouse: writing %d partitions", len(claims))
        if not self.was_ready:
            self.was_ready = True
            if self._on_ready is not None:
                self._on_ready()

    async def _gather(self) -> list[Message]:
        """Messages of claimed partitions, each once: many, or those of a quarter of a second."""
        found: list[Message] = []
        deadline_s: float | None = None
        while len(found) < _BATCH_MESSAGES and not self._stop.is_set():
            wait_s = _POLL_MS / 1000
            if deadline_s is not None:
                wait_s = deadline_s - time.monotonic()
                if wait_s <= 0:
                    break
            polled = await self._consumer.getmany(
                timeout_ms=int(wait_s * 1000), max_records=_BATCH_MESSAGES - len(found)
            )
            for partition, records in polled.items():
                found.extend(self._new(partition, records))
            if found and deadline_s is None:
                deadline_s = time.monotonic() + _BATCH_S
            if not found:
                break
        return found

    def _new(self, partition: TopicPartition, records: list[Any]) -> list[Message]:
        # The position is None, or another, for what was fetched before the claim was made.
        key = (partition.topic, partition.partition)
        position = self._positions.get(key)
        if position is None:
            return []
        new = [
            Message(partition.topic, partition.partition, record.offset, record.value)
            for record in records
            if record.offset >= position
        ]
        if new:
            self._positions[key] = new[-1].offset + 1
        return new

    async def _commit(self) -> None:
        self._committed_at_s = time.monotonic()
        offsets = self._recorder.written_up_to()
        if offsets:
            try:
                async with asyncio.timeout(_KAFKA_TIMEOUT_S):
                    await self._consumer.commit(
                        {TopicPartition(*one): offset for one, offset in offsets.items()}
                    )
            except (KafkaError, ValueError, TimeoutError) as error:
                _log.debug("lag tools will see older offsets: %r", error)


def group_of(settings: Settings) -> str:
    """The consumer group: one for each prefix, so that installations may share a cluster."""
    return (
        GROUP if settings.topic_prefix == Settings().topic_prefix else settings.topic_prefix + GROUP
    )


def _position(partition: Partition, claim: Claim, end_offset: int) -> int:
    if claim.next_offset is None:
        return 0
    if claim.next_offset > end_offset:
        # Rows are known by their ids: reading a topic from its start repeats nothing.
        _log.warning(
            "%s-%d ends at %d, but was written up to %d: it was made anew; reading all of it",
            *partition,
            end_offset,
            claim.next_offset,
        )
        return 0
    return claim.next_offset
