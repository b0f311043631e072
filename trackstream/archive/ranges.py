"""Which offsets are in which files, so that every event is in one file, once.

A partition is cut into ranges of offsets, one after another. The manifest has for each, named by
its first offset:

1. a *plan*, created before anything else: the last offset, the files and how many rows each has.
   It can be created once only, so of two processes that believe that the partition is theirs, one
   learns that it is not;
2. the mark that it is *done*, written when all its files are durable.

A plan without the mark is carried out again, from the same messages to the same files: whoever was
killed in between, and wherever, leaves no second copy of a row. File names are made of the
partition and the range alone.
"""

from __future__ import annotations

import datetime as dt
import io
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import msgspec
import pyarrow.parquet as pq

from trackstream.archive.columns import table
from trackstream.codec import UndecodableError, decode
from trackstream.core.records import Event
from trackstream.storage.errors import WriterFencedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.archive.place import Place

__all__ = ["MANIFEST", "Message", "PartitionRanges", "Plan", "PlannedFile", "done_path"]

MANIFEST = "_manifest"

_DAY_MS = 86_400_000
_EPOCH = dt.date(1970, 1, 1)


class Message(NamedTuple):
    """What was read of a partition."""

    offset: int
    value: bytes | None


class PlannedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a range: an app's events of one day."""

    path: str
    rows: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A range: what is, or will be, where. Kept as JSON.

    Attributes:
        topic: With its prefix.
        partition: Its number.
        first_offset: The one after the last of the range before.
        last_offset: Of its last message.
        messages: How many it has: fewer than offsets where Kafka had deleted some before.
        unreadable: Offsets of messages that are no events.
        files: In the order of their paths.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    messages: int
    unreadable: list[int]
    files: list[PlannedFile]


_Files = dict[str, list[tuple[int, Event]]]


class PartitionRanges:
    """The ranges of one partition. Calls block, and raise what `Place` raises.

    Args:
        place: Where the archive is.
        topic: With its prefix.
        partition: Its number.
    """

    def __init__(self, place: Place, topic: str, partition: int) -> None:
        self._place = place
        self._topic = topic
        self._partition = partition
        self._owner = f"{topic}-{partition:05}"
        self.next_offset: int | None = None
        """First of the next range; None: there is no range yet."""
        self.unfinished: Plan | None = None
        """The last range, if it has to be carried out again, from its `first_offset` on."""

    def load(self) -> None:
        """Read how far the archive is, and remove what others have left half-written."""
        self._place.clear(self._owner)
        names = self._place.names(f"{MANIFEST}/{self._owner}")
        plans = [one for one in names if one.endswith(".json")]
        self.next_offset = self.unfinished = None
        if not plans:
            return
        last = msgspec.json.decode(
            self._place.read(f"{MANIFEST}/{self._owner}/{plans[-1]}"), type=Plan
        )
        self.next_offset = last.last_offset + 1
        if plans[-1].replace(".json", ".done") not in names:
            self.unfinished = last

    def finish(self, messages: Iterable[Message]) -> list[str]:
        """Carry the unfinished plan out, with the messages of its range; return what is lost.

        That are files of which Kafka has deleted messages since they were planned, and which were
        not written in time.
        """
        plan = self.unfinished
        if plan is None:
            return []
        read, _ = self._read(messages, plan.first_offset, plan.last_offset)
        lost = []
        for one in plan.files:
            events = read.get(one.path, [])
            if len(events) == one.rows:
                self._place.write(one.path, self._parquet(events))
            elif not self._has(one.path):
                lost.append(one.path)
        self._place.create(done_path(plan), b"")
        self.unfinished = None
        return lost

    def append(self, messages: list[Message]) -> Plan:
        """Make the messages the next range, and write its files.

        Raises:
            WriterFencedError: Another has made the next range; `load` tells how far it is.
        """
        if self.unfinished is not None:
            raise ValueError("there is an unfinished range")
        first = messages[0].offset if self.next_offset is None else self.next_offset
        last = messages[-1].offset
        read, unreadable = self._read(messages, first, last)
        plan = Plan(
            topic=self._topic,
            partition=self._partition,
            first_offset=first,
            last_offset=last,
            messages=len(messages),
            unreadable=unreadable,
            files=[PlannedFile(path=path, rows=len(read[path])) for path in sorted(read)],
        )
        if not self._place.create(_plan_path(plan), msgspec.json.encode(plan)):
            raise WriterFencedError(f"another process archives {self._owner} now")
        self.next_offset, self.unfinished = last + 1, plan
        self.finish(messages)
        return plan

    def _read(self, messages: Iterable[Message], first: int, last: int) -> tuple[_Files, list[int]]:
        files: _Files = {}
        unreadable: list[int] = []
        for offset, value in messages:
            if not first <= offset <= last:
                continue
            event = _event(value)
            if event is None:
                unreadable.append(offset)
            else:
                files.setdefault(self._path(event, first, last), []).append((offset, event))
        return files, unreadable

    def _path(self, event: Event, first: int, last: int) -> str:
        day = _EPOCH + dt.timedelta(days=event.timestamp_ms // _DAY_MS)
        return (
            f"app={quote(event.app_id, safe='')}/day={day}/"
            f"{self._owner}-{first:020}-{last:020}.parquet"
        )

    def _parquet(self, events: list[tuple[int, Event]]) -> bytes:
        out = io.BytesIO()
        rows = table(
            [event for _, event in events],
            partition=self._partition,
            offsets=[offset for offset, _ in events],
        )
        pq.write_table(rows, out, compression="zstd")
        return out.getvalue()

    def _has(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return name in self._place.names(folder)


def done_path(plan: Plan) -> str:
    """Where the mark is that a range's files are all there."""
    return _plan_path(plan).replace(".json", ".done")


def _plan_path(plan: Plan) -> str:
    return f"{MANIFEST}/{plan.topic}-{plan.partition:05}/{plan.first_offset:020}.json"


def _event(value: bytes | None) -> Event | None:
    """The event; None for what is none, or is of a day that no calendar has."""
    try:
        record = decode(value)
    except UndecodableError:
        return None
    if not isinstance(record, Event):
        return None
    try:
        _EPOCH + dt.timedelta(days=record.timestamp_ms // _DAY_MS)
    except OverflowError:
        return None
    return record
