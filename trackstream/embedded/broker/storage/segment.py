"""One segment file of a partition's log: append, read, look up, recover."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from trackstream.embedded.broker.storage import batches, index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trackstream.embedded.broker.storage.batches import BatchHeader

log = logging.getLogger(__name__)

_WALK_BYTES = index.INTERVAL_BYTES + batches.HEADER_SIZE
_CHECK_BYTES = 1024 * 1024


def file_name(base_offset: int, suffix: str) -> str:
    """Return Kafka's name for a file of the segment that starts at `base_offset`."""
    return f"{base_offset:020d}{suffix}"


class Segment:
    """A file of batches in ascending order, the first at or after `base_offset`.

    `next_offset` is the offset after the last batch, `newest_timestamp` the newest record's time
    in ms (-1: none), `cleaned_at_ms` when compaction first rewrote the segment (0: never).
    """

    def __init__(self, directory: Path, base_offset: int) -> None:
        self.base_offset = base_offset
        self.path = directory / file_name(base_offset, ".log")
        self.index_path = directory / file_name(base_offset, ".index")
        self.index = index.SparseIndex()
        self.size = 0
        self.next_offset = base_offset
        self.newest_timestamp = -1
        self.first_timestamp = -1
        self.cleaned_at_ms = 0
        self._file = -1

    @property
    def file(self) -> int:
        """The file descriptor, opened when first asked for."""
        if self._file < 0:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        return self._file

    def recover(self) -> None:
        """Learn what the file holds, checking what no index vouches for.

        A torn or damaged tail is cut off: it was never acknowledged, or never reached the disk.
        """
        self.size = os.fstat(self.file).st_size
        known = index.load(self.index_path)
        checked = 0
        if known is not None and known.log_bytes <= self.size:
            self.index = known.entries
            self.next_offset = known.next_offset
            self.newest_timestamp = known.newest_timestamp
            self.cleaned_at_ms = known.cleaned_at_ms
            checked = known.log_bytes
        for position, header in self.walk(checked, check=True):
            self._note(position, header)
            checked = position + header.size
        if checked < self.size:
            log.warning(
                "%s: cutting off %d bytes of a batch that is not whole",
                self.path.name,
                self.size - checked,
            )
            os.ftruncate(self.file, checked)
            self.size = checked
        for _, header in self.walk(0):
            self.first_timestamp = header.max_timestamp
            break

    def append(self, batch: bytearray, header: BatchHeader) -> None:
        """Append a batch, all of it or nothing.

        Raises:
            OSError: the disk refused; the file is as long as it was, unless `is_torn`.
        """
        try:
            written = os.write(self.file, batch)
            while written < len(batch):
                written += os.write(self.file, memoryview(batch)[written:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.file, self.size)
            raise
        if self.first_timestamp < 0:
            self.first_timestamp = header.max_timestamp
        self._note(self.size, header)
        self.size += len(batch)

    @property
    def is_torn(self) -> bool:
        """Whether the file holds bytes that are not part of the log."""
        return os.fstat(self.file).st_size != self.size

    def view(self) -> Segment:
        """Return a second reader of this segment, with a file of its own (for a thread)."""
        view = Segment(self.path.parent, self.base_offset)
        view.index, view.size, view.next_offset = self.index, self.size, self.next_offset
        view.cleaned_at_ms = self.cleaned_at_ms
        return view

    def _note(self, position: int, header: BatchHeader) -> None:
        self.index.add(header.base_offset, position, self.newest_timestamp)
        self.next_offset = header.next_offset
        self.newest_timestamp = max(self.newest_timestamp, header.max_timestamp)

    def walk(self, position: int, *, check: bool = False) -> Iterator[tuple[int, BatchHeader]]:
        """Walk the batches from `position` on: (position, header).

        It ends at the first bytes that are no whole batch; with `check`, also at a wrong checksum.
        """
        chunk, start = b"", position
        step = _CHECK_BYTES if check else _WALK_BYTES
        while position + batches.HEADER_SIZE <= self.size:
            within = position - start
            if within + batches.HEADER_SIZE > len(chunk):
                chunk, start, within = self.read(position, step), position, 0
            try:
                header = batches.parse_header(chunk, within)
                if position + header.size > self.size:
                    return
                if check:
                    if within + header.size > len(chunk):
                        chunk, start, within = self.read(position, header.size), position, 0
                    batches.check_crc(memoryview(chunk)[within : within + header.size], header)
            except (batches.CorruptBatchError, batches.UnsupportedFormatError):
                return
            yield position, header
            position += header.size

    def read(self, position: int, size: int) -> bytes:
        """Read up to `size` bytes of the file."""
        return os.pread(self.file, min(size, self.size - position), position)

    def read_batch(self, position: int, header: BatchHeader) -> bytes:
        """Read one whole batch."""
        return self.read(position, header.size)

    def find(self, offset: int) -> tuple[int, BatchHeader] | None:
        """Return the first batch that ends at or after `offset`."""
        for position, header in self.walk(self.index.position_for_offset(offset)):
            if header.last_offset >= offset:
                return position, header
        return None

    def read_from(self, offset: int, max_bytes: int, end_offset: int) -> bytes:
        """Return whole batches from `offset` on, of those that start before `end_offset`.

        One batch at least, however large, so that a reader always moves.
        """
        found = self.find(offset)
        if found is None or found[1].base_offset >= end_offset:
            return b""
        position, first = found
        data = self.read(position, max(max_bytes, first.size))
        if position + len(data) == self.size and self.next_offset <= end_offset:
            return data
        limit = min(
            self.index.position_before(position + len(data)),
            self.index.position_for_offset(end_offset),
        )
        cut = max(limit - position, 0)
        for at, header in batches.iterate_headers(data, cut):
            if header.base_offset >= end_offset:
                break
            cut = at + header.size
        return data[:cut]

    def find_time(self, timestamp_ms: int) -> tuple[int, BatchHeader] | None:
        """Return the first batch with a record as new as `timestamp_ms`."""
        if self.newest_timestamp < timestamp_ms:
            return None
        for position, header in self.walk(self.index.position_for_time(timestamp_ms)):
            if header.max_timestamp >= timestamp_ms:
                return position, header
        return None

    def save_index(self) -> None:
        """Write the index beside the log."""
        index.save(
            self.index_path,
            self.index,
            log_bytes=self.size,
            next_offset=self.next_offset,
            newest_timestamp=self.newest_timestamp,
            cleaned_at_ms=self.cleaned_at_ms,
        )

    def close(self) -> None:
        """Close the file; reading opens it again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def delete(self) -> None:
        """Remove the files."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.index_path.unlink(missing_ok=True)
