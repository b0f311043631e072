"""A small durable table: JSON records in one append-only file, rewritten when mostly outdated.

Each line is `<crc32 in hex> <json>`. A torn last line (a kill or a power cut while it was written)
is cut off; a damaged line elsewhere is logged and skipped.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

_MIN_REWRITE_BYTES = 1024 * 1024


class Journal:
    """The file behind a table whose owner keeps it in memory.

    `snapshot` returns the records that rebuild the table as it is now; `on_append` hears of each
    append, so that somebody syncs the file.
    """

    def __init__(
        self,
        path: Path,
        snapshot: Callable[[], Iterable[Any]],
        on_append: Callable[[Journal], None],
    ) -> None:
        self.path = path
        self._snapshot = snapshot
        self._on_append = on_append
        self._file = -1
        self._size = 0
        self._torn = False
        self._rewrite_at = _MIN_REWRITE_BYTES

    @property
    def file(self) -> int:
        """The file descriptor."""
        return self._file

    def load(self) -> Iterator[Any]:
        """Open the file and return its records, oldest first."""
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            log.warning("%s: cutting off a torn record", self.path.name)
            os.ftruncate(self._file, whole)
        self._size = whole
        for number, line in enumerate(data[:whole].splitlines(), start=1):
            try:
                record = _record(line)
            except ValueError as error:
                log.error("%s: line %d is damaged, skipped: %s", self.path.name, number, error)  # noqa: TRY400 - the place matters, not the stack
                continue
            yield record

    def append(self, record: Any) -> None:
        """Append a record, all of it or nothing; it survives the end of this process.

        Raises:
            OSError: the disk refused.
        """
        line = _line(record)
        if self._torn:
            self._cut()
        try:
            _write_whole(self._file, line)
        except OSError:
            self._torn = True
            self._cut()
            raise
        self._size += len(line)
        self._on_append(self)
        if self._size >= self._rewrite_at:
            self._rewrite_if_possible()

    def _cut(self) -> None:
        """Remove what a failed append has left, or raise `OSError`."""
        os.ftruncate(self._file, self._size)
        self._torn = False

    def _rewrite_if_possible(self) -> None:
        try:
            self.rewrite()
        except OSError as error:
            log.warning("%s: not rewritten, it grows: %s", self.path.name, error)
            self._rewrite_at = 2 * self._size

    def rewrite(self) -> None:
        """Write the table as it is now to a new file, and put that in the old one's place."""
        temporary = self.path.with_suffix(".new")
        with temporary.open("wb") as out:
            for record in self._snapshot():
                out.write(_line(record))
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(self.path)
        os.close(self._file)
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND)
        self._size = os.fstat(self._file).st_size
        self._rewrite_at = max(_MIN_REWRITE_BYTES, 2 * self._size)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _write_whole(file: int, data: bytes) -> None:
    """Write all of `data`; a short write goes on, and meets the error that made it short."""
    written = 0
    while written < len(data):
        written += os.write(file, memoryview(data)[written:])


def _record(line: bytes) -> Any:
    text = line[9:]
    if zlib.crc32(text) != int(line[:8], 16):
        raise ValueError("checksum differs")
    return json.loads(text)


def _line(record: Any) -> bytes:
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)
