"""What is in the files of a range: which message is a row of which file, and which is of none."""

from __future__ import annotations

import datetime as dt
import io
import logging
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from trackstream.archive.columns import table
from trackstream.codec import UndecodableError, decode
from trackstream.core.records import Event

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = ["Contents", "Message", "Range", "Rows"]

_log = logging.getLogger(__name__)

_DAY_MS = 86_400_000
_EPOCH = dt.date(1970, 1, 1)

_UNWRITABLE = (pa.ArrowException, ArithmeticError, TypeError, ValueError)
"""What Arrow and Python say of a value that a column cannot have."""

Rows = list[tuple[int, Event]]
"""Offsets and events of one file, in the order of offsets."""


class Message(NamedTuple):
    """What was read of a partition."""

    offset: int
    value: bytes | None


class Range(NamedTuple):
    """Messages, told apart.

    Attributes:
        rows: By the path of the file that has them: an app's events of one day.
        unreadable: Offsets of what is no event, or has a value that no column takes.
        repeats: Offsets of events that are in the range before, by app, id and subject. A worker
            that was killed, or lost a partition, may have sent them twice.
    """

    rows: dict[str, Rows]
    unreadable: list[int]
    repeats: list[int]


class Contents:
    """Of the files of one partition: the same ones for the same messages.

    Args:
        topic: With its prefix.
        partition: Its number.
    """

    def __init__(self, topic: str, partition: int) -> None:
        self._partition = partition
        self.owner = f"{topic}-{partition:05}"
        """What files and folders are named by."""

    def of(
        self, messages: Iterable[Message], first: int, last: int, *, without: Collection[int]
    ) -> dict[str, Rows]:
        """The rows of the range from `first` to `last`, both included, but for some offsets."""
        found: dict[str, Rows] = {}
        for offset, value in messages:
            event = _event(value) if first <= offset <= last and offset not in without else None
            if event is not None:
                found.setdefault(self._path(event, first, last), []).append((offset, event))
        return found

    def _told_apart(
        self, messages: Iterable[Message], first: int, last: int, unwritable: Collection[int]
    ) -> Range:
        found = Range({}, [], [])
        seen: set[tuple[str, str, str]] = set()
        for offset, value in messages:
            event = None if offset in unwritable else _event(value)
            if event is None:
                found.unreadable.append(offset)
                continue
            key = (event.app_id, event.event_id, event.subject)
            if key in seen:
                found.repeats.append(offset)
                continue
            seen.add(key)
            found.rows.setdefault(self._path(event, first, last), []).append((offset, event))
        return found

    def made(
        self, messages: Sequence[Message], first: int, last: int
    ) -> tuple[Range, dict[str, bytes]]:
        """What the messages from `first` to `last` are, and all their files by path.

        A record that can be no row is put aside; of a repeated one the first has the row.

        Raises:
            ArrowException: Events of which each can be a row cannot be rows of one file; or another
                of what says that a value is of no use.
        """
        aside: set[int] = set()
        while True:
            found = self._told_apart(messages, first, last, aside)
            files: dict[str, bytes] = {}
            known = len(aside)
            for path, rows in found.rows.items():
                try:
                    files[path] = self.parquet(rows)
                except _UNWRITABLE:
                    unwritable = {one[0] for one in rows if not self._is_row(one)}
                    if not unwritable:
                        raise
                    aside |= unwritable
            if len(aside) == known:
                return found, files

    def parquet(self, rows: Rows) -> bytes:
        """A file; to the byte the same for the same rows."""
        out = io.BytesIO()
        made = table(
            [event for _, event in rows],
            partition=self._partition,
            offsets=[offset for offset, _ in rows],
        )
        pq.write_table(made, out, compression="zstd")
        return out.getvalue()

    def _is_row(self, one: tuple[int, Event]) -> bool:
        try:
            self.parquet([one])
        except _UNWRITABLE as error:
            _log.error(
                "the archive: %s, offset %d, has no row, for it cannot be one: %s",
                *(self.owner, one[0], error),
            )
            return False
        return True

    def _path(self, event: Event, first: int, last: int) -> str:
        day = _EPOCH + dt.timedelta(days=event.timestamp_ms // _DAY_MS)
        return (
            f"app={quote(event.app_id, safe='')}/day={day}/"
            f"{self.owner}-{first:020}-{last:020}.parquet"
        )


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
