"""What the archive does with what is read of `events`: a range whenever it is large or old enough.

The manifest's offsets are the truth.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from trackstream.archive.errors import ArchiveMismatchError
from trackstream.archive.place import open_place
from trackstream.archive.ranges import Message, PartitionRanges
from trackstream.storage.consumer import Claimed, Reading, Steps, Written, consume
from trackstream.storage.errors import StorageError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from trackstream.archive.place import Place
    from trackstream.settings import Settings
    from trackstream.storage.consumer import Partition, Read

__all__ = ["READING", "Rolling", "run", "url_of"]

_log = logging.getLogger(__name__)

READING = Reading(name="the archive", group="trackstream-archive", topics=("events",))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rolling:
    """When the messages of a partition become files: at this size, or this long after the first.

    The size is that of the messages in Avro; what they become is several times smaller.
    """

    size_bytes: int
    age_s: float


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
        settings: Name Kafka, the archive, and when files are written.
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

    def steps() -> Steps[_Job]:
        archiving = _Archiving(place, rolling)
        return Steps(
            claim=archiving.claim,
            prepare=archiving.prepare,
            write=_write,
            rest=archiving.rest,
            is_away=_is_away,
            made_anew=_refuse,
        )

    await consume(settings, READING, steps, stop=stop, on_ready=on_ready)


@dataclass(kw_only=True, slots=True)
class _Gathered:
    """What was read of a partition, and is not to be written yet.

    Attributes:
        ranges: Of the partition; touched by whoever writes alone.
        unfinished_to: The last offset of a range that has to be carried out again first.
    """

    ranges: PartitionRanges
    unfinished_to: int | None
    messages: list[Message] = field(default_factory=list)
    size_bytes: int = 0
    since_s: float = 0.0

    def add(self, message: Message) -> None:
        if not self.messages:
            self.since_s = time.monotonic()
        self.messages.append(message)
        self.size_bytes += len(message.value or b"")

    def take(self, *, up_to: int | None = None) -> list[Message]:
        """Remove the messages up to an offset, or all, and return them."""
        found = self.messages
        self.messages = []
        self.size_bytes = 0
        if up_to is not None:
            for one in found:
                if one.offset > up_to:
                    self.add(one)
            found = found[: len(found) - len(self.messages)]
        return found


class _Job(NamedTuple):
    """One range to write: the next, or the one that is unfinished."""

    partition: Partition
    ranges: PartitionRanges
    messages: list[Message]


class _Archiving:
    """What was read of the partitions that are ours."""

    def __init__(self, place: Place, rolling: Rolling) -> None:
        self._place = place
        self._rolling = rolling
        self._ours: dict[Partition, _Gathered] = {}

    def claim(self, partitions: Sequence[Partition]) -> Mapping[Partition, Claimed]:
        found = {one: PartitionRanges(self._place, *one) for one in partitions}
        for ranges in found.values():
            ranges.load()
        self._ours = {
            one: _Gathered(
                ranges=ranges,
                unfinished_to=ranges.unfinished.last_offset if ranges.unfinished else None,
            )
            for one, ranges in found.items()
        }
        return {one: _claimed(ranges) for one, ranges in found.items()}

    def prepare(self, read: Read) -> list[_Job]:
        for one in read.messages:
            self._ours[one.topic, one.partition].add(Message(one.offset, one.value))
        jobs: list[_Job] = []
        now_s = time.monotonic()
        for partition, ours in self._ours.items():
            last = ours.unfinished_to
            # All that Kafka has of the unfinished range is read.
            if last is not None and read.positions[partition] > last:
                ours.unfinished_to = None
                jobs.append(_Job(partition, ours.ranges, ours.take(up_to=last)))
            is_due = (
                ours.size_bytes >= self._rolling.size_bytes
                or now_s - ours.since_s >= self._rolling.age_s
            )
            if ours.messages and is_due and ours.unfinished_to is None:
                jobs.append(_Job(partition, ours.ranges, ours.take()))
        return jobs

    def rest(self) -> list[_Job]:
        return [
            _Job(partition, ours.ranges, ours.take())
            for partition, ours in self._ours.items()
            if ours.messages and ours.unfinished_to is None
        ]


def _claimed(ranges: PartitionRanges) -> Claimed:
    written_to = ranges.next_offset or 0
    return Claimed(ranges.unfinished.first_offset if ranges.unfinished else written_to, written_to)


def _write(job: _Job) -> Written[_Job]:
    ranges = job.ranges
    if ranges.unfinished is None:
        ranges.append(job.messages)
    else:  # it was planned by us, and then the place went away, or by another who ended
        for path in ranges.finish(job.messages):
            _log.error("the archive: Kafka has deleted messages before %s was written", path)
    return Written(next_offsets={job.partition: ranges.next_offset or 0})


_OURS = (
    *(pa.ArrowException, ArithmeticError, AssertionError, AttributeError, LookupError),
    *(MemoryError, NameError, NotImplementedError, StorageError, TypeError, ValueError),
)
"""What trying again does not help against: faults of the program, and of what an operator set."""


def _is_away(error: Exception) -> bool:
    """Every store's client raises its own; some errors of the network are a ValueError, too."""
    return isinstance(error, OSError) or not isinstance(error, _OURS)


def _refuse(partition: Partition, written_to: int, end: int) -> None:
    raise ArchiveMismatchError(
        f"{partition[0]}-{partition[1]} ends at {end}, but is archived up to {written_to}: "
        "it was made anew; set another TRACKSTREAM_ARCHIVE_URL"
    )
