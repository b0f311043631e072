"""The loop: read the topic, and write a range whenever it is large or old enough.

The manifest's offsets are the truth; Kafka is told them for the tools that show lag.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from trackstream.archive.errors import ArchiveFencedError, ArchiveMismatchError
from trackstream.archive.place import open_place
from trackstream.archive.ranges import Message, PartitionRanges
from trackstream.settings import Settings
from trackstream.storage.errors import StorageError
from trackstream.storage.topics import bootstrap_servers, largest_message_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trackstream.archive.place import Place

__all__ = ["GROUP", "Rolling", "group_of", "run", "url_of"]

_log = logging.getLogger(__name__)

GROUP = "trackstream-archive"
"""The consumer group of an installation with the default prefix."""

_TOPIC = "events"
_POLL_MS = 200
_PAUSE_S = 2.0
_KAFKA_TIMEOUT_S = 5.0
_HANDOVER_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Rolling:
    """When the messages of a partition become files: at this size, or this long after the first.

    The size is that of the messages in Avro; what they become is several times smaller.
    """

    size_bytes: int
    age_s: float


@dataclass(kw_only=True, slots=True)
class _Partition:
    """What was read of a partition that is ours, and not written yet."""

    ranges: PartitionRanges
    messages: list[Message] = field(default_factory=list)
    size_bytes: int = 0
    since_s: float = 0.0


def group_of(settings: Settings) -> str:
    """The consumer group: one for each prefix, so that installations may share a cluster."""
    prefix = settings.topic_prefix
    return GROUP if prefix == Settings().topic_prefix else prefix + GROUP


def url_of(settings: Settings) -> str:
    """Where the archive is: a path or a URL."""
    return settings.archive_url or str(settings.data_dir / "archive")


async def run(
    settings: Settings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None] = lambda: None,
    place: Place | None = None,
    rolling: Rolling | None = None,
) -> None:
    """Write the topic `events` to the archive until `stop` is set; any number of processes may.

    Args:
        settings: Name Kafka (topics created), the archive, and when files are written.
        stop: When set, what has been read is written, and the call returns.
        on_ready: Called once, when the partitions' ranges have been read for the first time.
        place: Instead of the settings' one.
        rolling: Likewise.

    Raises:
        InvalidValueError: The archive's URL cannot be used.
        ArchiveMismatchError: The archive has offsets that the topic has not reached.
    """
    rolling = rolling or Rolling(
        size_bytes=settings.archive_roll_mib * 2**20, age_s=settings.archive_roll_s
    )
    place = place or open_place(url_of(settings))
    ready = [on_ready]
    while not stop.is_set():
        member = _Member(settings, place, rolling, stop=stop, ready=ready)
        try:
            await member.run()
        except ArchiveFencedError as error:
            _log.warning("%s: joining the group again", error)
        except (KafkaError, TimeoutError) as error:
            _log.warning("the archive waits for Kafka: %r", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _PAUSE_S)


class _Member(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One membership in the group, until it is stopped or fenced."""

    def __init__(
        self,
        settings: Settings,
        place: Place,
        rolling: Rolling,
        *,
        stop: asyncio.Event,
        ready: list[Callable[[], None]],
    ) -> None:
        self._place = place
        self._rolling = rolling
        self._stop = stop
        self._ready = ready
        self._topic = settings.topic_prefix + _TOPIC
        self._consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers(settings.kafka_url),
            client_id=GROUP,
            group_id=group_of(settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_interval_ms=600_000,  # a place that is away is waited for
            # How soon others take over from one that was killed. Who is taken for dead and is not
            # does no harm.
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_000,
            fetch_max_wait_ms=_POLL_MS,
            max_partition_fetch_bytes=largest_message_bytes(settings),
        )
        self._unclaimed: set[int] | None = None
        self._ours: dict[int, _Partition] = {}
        self._generation = 0
        self._under_way: asyncio.Future[object] | None = None

    async def run(self) -> None:
        """Join, and work until stopped; always leaves the group."""
        self._consumer.subscribe([self._topic], listener=self)
        try:
            await self._consumer.start()
            while not self._stop.is_set():
                await self._step()
            await self._write_due(everything=True)
        finally:
            # In a task: while Kafka is away the client cancels itself, and must not cancel us.
            leaving = asyncio.ensure_future(self._consumer.stop())
            await asyncio.wait([leaving], timeout=_KAFKA_TIMEOUT_S)
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError, KafkaError):
                await leaving

    async def on_partitions_revoked(self, _: Iterable[TopicPartition]) -> None:
        """Let what is being written end; the rest is read again by whoever has them next."""
        self._forget()
        if self._under_way is not None:
            await asyncio.wait([self._under_way], timeout=_HANDOVER_S)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Have the loop read their ranges: that may take as long as the place is away."""
        self._forget()
        self._unclaimed = {one.partition for one in assigned}

    def _forget(self) -> None:
        self._generation += 1
        self._unclaimed = None
        self._ours = {}

    async def _step(self) -> None:
        if self._unclaimed is not None:
            await self._claim(sorted(self._unclaimed))
        polled = await self._consumer.getmany(timeout_ms=_POLL_MS)
        for key, records in polled.items():
            ours = self._ours.get(key.partition)
            if ours is not None:  # else fetched before the ranges were read, or not ours any more
                _take(ours, records)
        await self._write_due()

    async def _claim(self, numbers: list[int]) -> None:
        generation = self._generation
        keys = [TopicPartition(self._topic, number) for number in numbers]
        claimed = {
            number: _Partition(ranges=PartitionRanges(self._place, self._topic, number))
            for number in numbers
        }
        for one in claimed.values():
            if not await self._patiently(one.ranges.load):
                return
        async with asyncio.timeout(_KAFKA_TIMEOUT_S):
            ends = await self._consumer.end_offsets(keys) if keys else {}
        if generation != self._generation:
            return
        for key in keys:
            ranges = claimed[key.partition].ranges
            start = ranges.unfinished.first_offset if ranges.unfinished else ranges.next_offset
            if (ranges.next_offset or 0) > ends[key]:
                raise ArchiveMismatchError(
                    f"{key.topic}-{key.partition} ends at {ends[key]}, but is archived up to "
                    f"{ranges.next_offset}: it was made anew; set another TRACKSTREAM_ARCHIVE_URL"
                )
            self._consumer.seek(key, start or 0)
        self._ours = claimed
        self._unclaimed = None
        _log.info("archive: writing %d partitions", len(numbers))
        if self._ready:
            self._ready.pop()()

    async def _write_due(self, *, everything: bool = False) -> None:
        now_s = time.monotonic()
        for number, ours in list(self._ours.items()):
            if self._ours.get(number) is not ours:
                return  # partitions have gone meanwhile
            if ours.ranges.unfinished is not None:
                await self._finish(number, ours)
            due = (
                everything
                or ours.size_bytes >= self._rolling.size_bytes
                or now_s - ours.since_s >= self._rolling.age_s
            )
            if ours.messages and due and ours.ranges.unfinished is None:
                await self._append(number, ours)

    async def _finish(self, number: int, ours: _Partition) -> None:
        """Carry the unfinished range out as soon as all that Kafka has of it is read."""
        plan = ours.ranges.unfinished
        position = await self._consumer.position(TopicPartition(self._topic, number))
        if plan is None or not (
            position > plan.last_offset
            or (ours.messages and ours.messages[-1].offset >= plan.last_offset)
        ):
            return
        lost: list[str] = []
        if await self._patiently(lambda: lost.extend(ours.ranges.finish(ours.messages))):
            for path in lost:
                _log.error("archive: Kafka has deleted messages before %s was written", path)
            _drop(ours, up_to=plan.last_offset)

    async def _append(self, number: int, ours: _Partition) -> None:
        messages = ours.messages

        def write() -> None:
            if ours.ranges.unfinished is None:
                ours.ranges.append(messages)
            else:  # it was planned, and then the place went away
                ours.ranges.finish(messages)

        if await self._patiently(write):
            _drop(ours, up_to=messages[-1].offset)
            await self._commit(number, messages[-1].offset + 1)

    async def _patiently(self, call: Callable[[], object]) -> bool:
        """Call in a thread, again and again while the place is away; False when we are to stop.

        Raises:
            StorageError: What no waiting helps against.
        """
        waited = False
        generation = self._generation
        while True:
            try:
                self._under_way = asyncio.ensure_future(asyncio.to_thread(call))
                await self._under_way
            except StorageError:
                raise
            except Exception as error:  # noqa: BLE001 - every store's client raises its own
                if not waited:
                    _log.warning("the archive waits for its place: %r", error)
                waited = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _PAUSE_S)
                if self._stop.is_set() or generation != self._generation:
                    return False
            else:
                if waited:
                    _log.warning("the archive goes on")
                return True

    async def _commit(self, number: int, offset: int) -> None:
        try:
            async with asyncio.timeout(_KAFKA_TIMEOUT_S):
                await self._consumer.commit({TopicPartition(self._topic, number): offset})
        except (KafkaError, ValueError, TimeoutError) as error:
            _log.debug("lag tools will see older offsets: %r", error)


def _take(ours: _Partition, records: list[Any]) -> None:
    ranges = ours.ranges
    start = ranges.unfinished.first_offset if ranges.unfinished else ranges.next_offset or 0
    after = ours.messages[-1].offset if ours.messages else start - 1
    new = [Message(one.offset, one.value) for one in records if one.offset > after]
    if not new:
        return
    if not ours.messages:
        ours.since_s = time.monotonic()
    ours.messages += new
    ours.size_bytes += sum(len(one.value or b"") for one in new)


def _drop(ours: _Partition, *, up_to: int) -> None:
    ours.messages = [one for one in ours.messages if one.offset > up_to]
    ours.size_bytes = sum(len(one.value or b"") for one in ours.messages)
    ours.since_s = time.monotonic()
