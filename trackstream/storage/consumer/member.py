"""One membership in the group: read, prepare, write; and what happens when partitions come and go.

While one batch is written the next is read and prepared, each in a thread, so that the group hears
from this member all the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from trackstream.storage.consumer.outages import GivenUpError, patiently
from trackstream.storage.consumer.steps import Claimed, Message, Partition, Read, Reading, Steps
from trackstream.storage.errors import WriterFencedError
from trackstream.storage.topics import bootstrap_servers, largest_message_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from trackstream.settings import Settings

__all__ = ["Member"]

_log = logging.getLogger(__name__)

_POLL_MS = 200
_COMMIT_EVERY_S = 2.0
_LOG_EVERY_S = 60.0
_HANDOVER_S = 5.0
_KAFKA_TIMEOUT_S = 5.0

T = TypeVar("T")


class Member(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """A member of the group, until it is stopped or fenced.

    Args:
        settings: Name Kafka.
        reading: What is read.
        steps: What is done with it; owned from now on.
        group: The consumer group.
        stop: When set, what is in hand is written, and the group is left.
        on_ready: Called once, when partitions have been claimed.

    Attributes:
        was_ready: Whether partitions have been claimed.
    """

    def __init__(
        self,
        settings: Settings,
        reading: Reading,
        steps: Steps[Any],
        *,
        group: str,
        stop: asyncio.Event,
        on_ready: Callable[[], None] | None,
    ) -> None:
        self.was_ready = False
        self._reading = reading
        self._steps = steps
        self._stop = stop
        self._on_ready = on_ready
        self._topics = [settings.topic_prefix + topic for topic in reading.topics]
        self._consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers(settings.kafka_url),
            client_id=reading.group,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_interval_ms=600_000,  # an outage of what keeps the effects is sat out
            # How soon others take over from one that was killed, and how soon a member hears that
            # another has come. Who is taken for dead and is not does no harm.
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_000,
            fetch_max_wait_ms=_POLL_MS,
            max_partition_fetch_bytes=largest_message_bytes(settings),
        )
        self._unclaimed: list[Partition] | None = None
        self._positions: dict[Partition, int] = {}
        self._generation = 0
        self._writing: asyncio.Task[None] | None = None
        self._written: dict[Partition, int] = {}
        self._committed_at_s = self._logged_at_s = time.monotonic()

    async def run(self) -> None:
        """Join, and work until stopped; always leaves the group.

        Raises:
            WriterFencedError: Another has claimed a partition that we believed to be ours.
            KafkaError: Kafka does not answer, or TimeoutError.
        """
        self._consumer.subscribe(self._topics, listener=self)
        try:
            await self._consumer.start()
            with contextlib.suppress(GivenUpError):
                while not self._stop.is_set():
                    await self._step()
                await self._settled()
                await self._write_rest()
            await self._commit()
        finally:
            await self._end_writing()
            await self._leave()
            await asyncio.to_thread(self._steps.close)

    async def on_partitions_revoked(self, _: Iterable[TopicPartition]) -> None:
        """Let what is being written end, so that the next owner begins after it."""
        self._forget()
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=_HANDOVER_S)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Have the loop claim them: that may take as long as what keeps the effects is away."""
        self._forget()
        self._unclaimed = sorted((one.topic, one.partition) for one in assigned)

    def _forget(self) -> None:
        self._generation += 1
        self._unclaimed = None
        self._positions = {}

    async def _step(self) -> None:
        if self._unclaimed is not None:
            await self._claim(self._unclaimed)
        generation = self._generation
        read = await self._gather()
        prepared: Sequence[Any] = ()
        # What was read before partitions went is read again by whoever has them now.
        if self._positions and generation == self._generation:
            prepared = await asyncio.to_thread(self._steps.prepare, read)
        await self._settled()
        if prepared and generation == self._generation:
            self._writing = asyncio.create_task(self._write(prepared, generation))
        if time.monotonic() - self._committed_at_s > _COMMIT_EVERY_S:
            await self._commit()
        if self._steps.status and time.monotonic() - self._logged_at_s > _LOG_EVERY_S:
            self._logged_at_s = time.monotonic()
            _log.info("%s: %s", self._reading.name, self._steps.status())

    async def _claim(self, partitions: list[Partition]) -> None:
        await self._settled()
        generation = self._generation
        try:
            claims = await self._patiently(partial(self._steps.claim, partitions), generation)
        except GivenUpError:
            if self._stop.is_set():
                raise
            return
        starts = await self._starts(claims)
        if generation != self._generation:
            return
        for partition, start in starts.items():
            self._positions[partition] = start
            self._consumer.seek(TopicPartition(*partition), start)
        self._unclaimed = None
        _log.info("%s: %d partitions", self._reading.name, len(claims))
        if not self.was_ready:
            self.was_ready = True
            if self._on_ready is not None:
                self._on_ready()

    async def _starts(self, claims: Mapping[Partition, Claimed]) -> dict[Partition, int]:
        """From where each partition is read, by what was written and what Kafka has."""
        keys = [TopicPartition(*one) for one in claims]
        if not keys:
            return {}
        async with asyncio.timeout(_KAFKA_TIMEOUT_S):
            # After the claims: until then another may have written on.
            ends = await self._consumer.end_offsets(keys)
            begins = await self._consumer.beginning_offsets(keys)
        return {
            (key.topic, key.partition): self._start(
                claims[key.topic, key.partition], key, begins[key], ends[key]
            )
            for key in keys
        }

    def _start(self, its: Claimed, key: TopicPartition, begin: int, end: int) -> int:
        if its.written_to > end:
            self._steps.made_anew((key.topic, key.partition), its.written_to, end)
            _log.warning(
                "%s-%d ends at %d, but was written up to %d: it was made anew; reading all of it",
                *(key.topic, key.partition, end, its.written_to),
            )
            return begin
        if its.written_to and its.read_from < begin:
            _log.error(
                "%s-%d: Kafka has deleted the messages from %d to %d before they were written",
                *(key.topic, key.partition, its.read_from, begin - 1),
            )
        return max(its.read_from, begin)

    async def _gather(self) -> Read:
        """Messages of claimed partitions, each once: many, or those of a short time."""
        found: list[Message] = []
        deadline_s: float | None = None
        most = self._reading.most_messages
        while len(found) < most and not self._stop.is_set():
            wait_s = _POLL_MS / 1000
            if deadline_s is not None:
                wait_s = deadline_s - time.monotonic()
                if wait_s <= 0:
                    break
            polled = await self._consumer.getmany(
                timeout_ms=int(wait_s * 1000), max_records=most - len(found)
            )
            for partition, records in polled.items():
                found.extend(self._new(partition, records))
            if found and deadline_s is None:
                deadline_s = time.monotonic() + self._reading.gather_s
            if not found:
                break
        return Read(found, dict(self._positions))

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

    async def _write_rest(self) -> None:
        if self._positions:
            rest = await asyncio.to_thread(self._steps.rest)
            await self._write(rest, self._generation)

    async def _write(self, prepared: Sequence[Any], generation: int) -> None:
        """Write all, in order, for as long as the partitions of which it was read are ours."""
        todo = deque(prepared)
        try:
            while todo and generation == self._generation:
                one = todo.popleft()
                written = await self._patiently(partial(self._steps.write, one), generation)
                todo.extendleft(reversed(written.instead))
                self._written.update(written.next_offsets)
        except WriterFencedError:
            if generation == self._generation:
                raise  # else it is as it should be: they are the next owner's
        except GivenUpError:
            if self._stop.is_set():
                raise

    async def _settled(self) -> None:
        """Return when nothing is being written; raise what the last writing raised."""
        writing, self._writing = self._writing, None
        if writing is not None:
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                self._writing = writing
                raise

    async def _end_writing(self) -> None:
        """End what is under way, soon: what is not confirmed is read again."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await asyncio.wait([writing], timeout=_HANDOVER_S)
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await writing

    async def _patiently(self, call: Callable[[], T], generation: int) -> T:
        return await patiently(
            call,
            name=self._reading.name,
            is_away=self._steps.is_away,
            wanted=lambda: generation == self._generation,
            stop=self._stop,
        )

    async def _commit(self) -> None:
        """Tell Kafka, too, for the tools that show lag."""
        self._committed_at_s = time.monotonic()
        written, self._written = self._written, {}
        if not written:
            return
        try:
            async with asyncio.timeout(_KAFKA_TIMEOUT_S):
                await self._consumer.commit(
                    {TopicPartition(*one): offset for one, offset in written.items()}
                )
        except (KafkaError, ValueError, TimeoutError) as error:
            _log.debug("lag tools will see older offsets: %r", error)

    async def _leave(self) -> None:
        """Leave the group, a courtesy: else the others wait until the session ends."""
        # In a task: while Kafka is away the client cancels itself, and must not cancel us.
        leaving = asyncio.ensure_future(self._consumer.stop())
        await asyncio.wait([leaving], timeout=_KAFKA_TIMEOUT_S)
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError, KafkaError):
            await leaving
