"""A partition's log: its segments on disk, in the order of their offsets."""

from __future__ import annotations

import itertools
import logging
from bisect import bisect_right
from typing import TYPE_CHECKING

from trackstream.embedded.broker.storage import batches
from trackstream.embedded.broker.storage.segment import Segment, file_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trackstream.embedded.broker.storage.batches import BatchHeader
    from trackstream.embedded.broker.topic_config import TopicConfig

log = logging.getLogger(__name__)

CLEANED_SUFFIX = ".cleaned"
"""A compacted segment being written."""

SWAP_SUFFIX = ".swap"
"""A compacted segment, whole on disk, named `<base>-<end>.swap` for the offsets that it replaces.

Renaming to this name commits the replacement: a start completes it.
"""


class Log:
    """The segments of one partition; offsets from `start_offset` up to `end_offset`, exclusive.

    A new log is an empty directory. `config` is replaced when the topic's configuration changes.
    """

    def __init__(self, directory: Path, config: TopicConfig) -> None:
        self.directory = directory
        self.config = config
        self.start_offset = 0
        self.segments: list[Segment] = []

    @property
    def active(self) -> Segment:
        """The segment that is appended to."""
        return self.segments[-1]

    @property
    def end_offset(self) -> int:
        """The offset that the next record gets."""
        return self.active.next_offset

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self.segments)

    def open(self) -> None:
        """Find the segments and recover each (see `Segment.recover`)."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._finish_swaps()
        bases = sorted(int(path.stem) for path in self.directory.glob("*.log"))
        self.segments = [Segment(self.directory, base) for base in bases or [0]]
        for segment in self.segments:
            segment.recover()
        for segment, following in itertools.pairwise(self.segments):
            # Compaction may have emptied the end of a segment; its offsets stay used.
            segment.next_offset = max(segment.next_offset, following.base_offset)
        self.start_offset = self.segments[0].base_offset

    def _finish_swaps(self) -> None:
        for path in self.directory.glob("*" + CLEANED_SUFFIX):
            path.unlink()
        for path in sorted(self.directory.glob("*" + SWAP_SUFFIX)):
            base, end = (int(part) for part in path.stem.split("-"))
            for old in self.directory.glob("*.log"):
                if base < int(old.stem) < end:
                    old.unlink()
                    old.with_suffix(".index").unlink(missing_ok=True)
            (self.directory / file_name(base, ".index")).unlink(missing_ok=True)
            path.replace(self.directory / file_name(base, ".log"))

    def append(self, batch: bytearray, header: BatchHeader) -> Segment:
        """Append a batch that is placed at `end_offset`; return its segment, which needs a sync.

        Raises:
            OSError: the disk refused; nothing of the batch is in the log.
        """
        active = self.active
        if active.size and (
            active.size + len(batch) > self.config.segment_bytes
            or header.max_timestamp - active.first_timestamp > self.config.segment_ms
        ):
            active = self.roll()
        active.append(batch, header)
        return active

    def roll(self) -> Segment:
        """Close the active segment and begin another; an empty one stays."""
        old = self.active
        if not old.size:
            return old
        new = Segment(self.directory, old.next_offset)
        _ = new.file
        old.save_index()
        self.segments.append(new)
        return new

    def read(self, offset: int, max_bytes: int, end_offset: int) -> bytes:
        """Return batches from `offset` on that start before `end_offset`; see `Segment.read_from`.

        The first batch may start before `offset`, and holes that compaction left are skipped.
        """
        for number in range(self._segment_number(offset), len(self.segments)):
            segment = self.segments[number]
            if segment.base_offset >= end_offset:
                break
            if data := segment.read_from(offset, max_bytes, end_offset):
                return data
        return b""

    def _segment_number(self, offset: int) -> int:
        bases = [segment.base_offset for segment in self.segments]
        return max(bisect_right(bases, offset) - 1, 0)

    def headers(self, offset: int) -> Iterator[tuple[Segment, int, BatchHeader]]:
        """Walk the batches that end at or after `offset`."""
        for segment in self.segments[self._segment_number(offset) :]:
            start = segment.index.position_for_offset(offset)
            for position, header in segment.walk(start):
                if header.last_offset >= offset:
                    yield segment, position, header

    def find_time(self, timestamp_ms: int) -> tuple[int, int] | None:
        """Return (offset, time) of the first record at or after `timestamp_ms`."""
        for segment in self.segments:
            for position, header in self._batches_from(segment, timestamp_ms):
                found = _first_record_at(
                    segment.read_batch(position, header), header, timestamp_ms, self.start_offset
                )
                if found is not None:
                    return found
        return None

    def _batches_from(
        self, segment: Segment, timestamp_ms: int
    ) -> Iterator[tuple[int, BatchHeader]]:
        found = segment.find_time(timestamp_ms)
        if found is None:
            return
        for position, header in segment.walk(found[0]):
            if header.max_timestamp >= timestamp_ms and header.last_offset >= self.start_offset:
                yield position, header

    def newest(self) -> tuple[int, int] | None:
        """Return (offset, time) of the record with the newest time."""
        filled = [segment for segment in self.segments if segment.size]
        if not filled:
            return None
        newest = max(segment.newest_timestamp for segment in filled)
        return self.find_time(newest)

    def expired_segments(self, now_ms: int) -> int:
        """Return how many of the oldest segments retention no longer wants."""
        config, count, size = self.config, 0, self.size
        for segment in self.segments:
            if segment is self.active and not segment.size:
                break
            below_start = segment is not self.active and segment.next_offset <= self.start_offset
            too_old = (
                config.is_deleted
                and config.retention_ms >= 0
                and now_ms - segment.newest_timestamp > config.retention_ms
            )
            too_much = (
                config.is_deleted
                and segment is not self.active
                and 0 <= config.retention_bytes <= size - segment.size
            )
            if not (below_start or too_old or too_much):
                break
            count += 1
            size -= segment.size
        return count

    def delete_oldest(self, count: int) -> None:
        """Delete the `count` oldest segments; the log goes on behind them."""
        if count >= len(self.segments):
            self.roll()
        # The new segment is on disk before the old ones go: the end offset is never forgotten.
        for segment in self.segments[:count]:
            segment.delete()
        del self.segments[:count]
        self.start_offset = max(self.start_offset, self.segments[0].base_offset)

    def replace(self, old: Sequence[Segment], swap: Path, cleaned_at_ms: int) -> None:
        """Put a compacted segment (a `.swap` file) in the place of neighbours."""
        number = self.segments.index(old[0])
        base = old[0].base_offset
        for segment in reversed(old):
            segment.close()
            segment.index_path.unlink(missing_ok=True)
            if segment is not old[0]:
                segment.path.unlink()
        swap.replace(old[0].path)
        new = Segment(self.directory, base)
        new.recover()
        new.next_offset = old[-1].next_offset
        new.cleaned_at_ms = cleaned_at_ms
        new.save_index()
        self.segments[number : number + len(old)] = [new]

    def close(self, *, save_index: bool = True) -> None:
        """Close all files; with `save_index`, the next `open` need not scan."""
        for segment in self.segments:
            if save_index and segment is self.active and segment.size:
                try:
                    segment.save_index()
                except OSError as error:
                    log.warning("%s: index not saved: %s", segment.path.name, error)
            segment.close()


def _first_record_at(
    batch: bytes, header: BatchHeader, timestamp_ms: int, start_offset: int
) -> tuple[int, int] | None:
    """Find the record inside the batch; where its codec is missing, the batch stands for it."""
    if header.attributes & batches.LOG_APPEND_TIME:
        return max(header.base_offset, start_offset), header.max_timestamp
    try:
        for record in batches.records(batch, header):
            timestamp = header.base_timestamp + record.timestamp_delta
            offset = header.base_offset + record.offset_delta
            if timestamp >= timestamp_ms and offset >= start_offset:
                return offset, timestamp
    except ValueError:
        return max(header.base_offset, start_offset), header.max_timestamp
    return None
