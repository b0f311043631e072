"""Which offsets are in which files, so that every message is in one file, once.

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

from typing import TYPE_CHECKING

import msgspec

from trackstream.archive.contents import Contents, Message
from trackstream.storage.errors import WriterFencedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.archive.place import Place

__all__ = ["MANIFEST", "Message", "PartitionRanges", "Plan", "PlannedFile", "done_path"]

MANIFEST = "_manifest"


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
        unreadable: Offsets of messages that are no events, or have a value that no column takes.
        repeats: Offsets of events that are in the range before, which have no row of their own.
        files: In the order of their paths.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    messages: int
    unreadable: list[int]
    repeats: list[int]
    files: list[PlannedFile]


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
        self._contents = Contents(topic, partition)
        self._owner = self._contents.owner
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
        found = self._contents.of(
            messages,
            plan.first_offset,
            plan.last_offset,
            # By the plan: which of them Kafka still has makes no difference.
            without={*plan.unreadable, *plan.repeats},
        )
        lost = []
        for one in plan.files:
            rows = found.get(one.path, [])
            if len(rows) == one.rows:
                self._place.write(one.path, self._contents.parquet(rows))
            elif not self._has(one.path):
                lost.append(one.path)
        self._done(plan)
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
        # All of it before there is a plan: what was planned can be carried out.
        found, files = self._contents.made(messages, first, last)
        plan = Plan(
            topic=self._topic,
            partition=self._partition,
            first_offset=first,
            last_offset=last,
            messages=len(messages),
            unreadable=found.unreadable,
            repeats=found.repeats,
            files=[PlannedFile(path=path, rows=len(found.rows[path])) for path in sorted(files)],
        )
        if not self._place.create(_plan_path(plan), msgspec.json.encode(plan)):
            raise WriterFencedError(f"another process archives {self._owner} now")
        self.next_offset, self.unfinished = plan.last_offset + 1, plan
        for one in plan.files:
            self._place.write(one.path, files[one.path])
        self._done(plan)
        return plan

    def _done(self, plan: Plan) -> None:
        self._place.create(done_path(plan), b"")
        self.unfinished = None

    def _has(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return name in self._place.names(folder)


def done_path(plan: Plan) -> str:
    """Where the mark is that a range's files are all there."""
    return _plan_path(plan).replace(".json", ".done")


def _plan_path(plan: Plan) -> str:
    return f"{MANIFEST}/{plan.topic}-{plan.partition:05}/{plan.first_offset:020}.json"
