"""A segment's sparse index: where to start reading for an offset, a position or a time.

It has one entry per `INTERVAL_BYTES` of log, in memory, and is written beside the segment when
that is complete, so that a start need not read the whole log. The file covers the first
`log_bytes` of the segment; what was appended after it was written is scanned at the next start.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

INTERVAL_BYTES = 4096

_MAGIC = b"TSIX"
_HEAD = struct.Struct(">4sHqqqqI")
_FORMAT = 1
_CRC = struct.Struct(">I")


class SparseIndex:
    """Ascending entries: offset, file position, and the newest time before that position."""

    def __init__(self) -> None:
        self.offsets = array("q")
        self.positions = array("q")
        self.newest_before = array("q")

    def add(self, offset: int, position: int, newest_before: int) -> None:
        """Note a batch, if the last noted one is far enough away."""
        if not self.positions or position - self.positions[-1] >= INTERVAL_BYTES:
            self.offsets.append(offset)
            self.positions.append(position)
            self.newest_before.append(newest_before)

    def position_for_offset(self, offset: int) -> int:
        """Return a position at or before the batch that holds `offset`."""
        entry = bisect_right(self.offsets, offset) - 1
        return self.positions[entry] if entry >= 0 else 0

    def position_before(self, position: int) -> int:
        """Return the last noted position at or before `position`."""
        entry = bisect_right(self.positions, position) - 1
        return self.positions[entry] if entry >= 0 else 0

    def position_for_time(self, timestamp_ms: int) -> int:
        """Return a position before which nothing is as new as `timestamp_ms`."""
        entry = bisect_right(self.newest_before, timestamp_ms - 1) - 1
        return self.positions[entry] if entry >= 0 else 0


class IndexFile(NamedTuple):
    """What an index file holds."""

    entries: SparseIndex
    log_bytes: int
    """How much of the segment the entries cover."""
    next_offset: int
    """The offset after the covered part."""
    newest_timestamp: int
    """The newest time in the covered part, or -1."""
    cleaned_at_ms: int
    """When the segment was first compacted, or 0."""


def load(path: Path) -> IndexFile | None:
    """Read an index file; None where it is missing or damaged (the log is scanned instead)."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) < _HEAD.size + _CRC.size:
        return None
    body, (crc,) = data[: -_CRC.size], _CRC.unpack(data[-_CRC.size :])
    magic, version, log_bytes, next_offset, newest, cleaned_at_ms, count = _HEAD.unpack_from(body)
    if zlib.crc32(body) != crc or magic != _MAGIC or version != _FORMAT:
        return None
    index = SparseIndex()
    columns = (index.offsets, index.positions, index.newest_before)
    for number, column in enumerate(columns):
        start = _HEAD.size + number * count * 8
        column.frombytes(body[start : start + count * 8])
    return IndexFile(index, log_bytes, next_offset, newest, cleaned_at_ms)


def save(
    path: Path,
    index: SparseIndex,
    *,
    log_bytes: int,
    next_offset: int,
    newest_timestamp: int,
    cleaned_at_ms: int,
) -> None:
    """Write an index file, in one step for whoever reads it."""
    body = _HEAD.pack(
        _MAGIC,
        _FORMAT,
        log_bytes,
        next_offset,
        newest_timestamp,
        cleaned_at_ms,
        len(index.offsets),
    )
    body += index.offsets.tobytes() + index.positions.tobytes() + index.newest_before.tobytes()
    temporary = path.with_suffix(".index.new")
    temporary.write_bytes(body + _CRC.pack(zlib.crc32(body)))
    temporary.replace(path)
