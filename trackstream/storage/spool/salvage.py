"""What a damaged spool file still has, read around the pages that SQLite cannot make sense of."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from trackstream.storage.spool.rows import decoding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Row", "salvaged"]

Row = tuple[int, str, bytes, bytes]
"""When it was accepted (epoch milliseconds), topic, key, value, if it is sound."""

_COLUMNS = "SELECT position, at_ms, topic, key, value FROM messages"
_ALONE = 200
"""Messages asked for one by one after a failure, before all that follow are again."""


def salvaged(path: Path, *, after: int, expected: int) -> Iterator[Row | None]:
    """Each message behind position `after`, in order; None for each that cannot be read.

    Of a file whose head cannot be read, no more are counted than `expected`.
    """
    with closing(decoding(sqlite3.connect(path, isolation_level=None))) as connection:
        last = _last(connection, after + expected)
        position = after
        while position < last:
            try:
                rows = connection.execute(
                    f"{_COLUMNS} WHERE position > ? ORDER BY position", (position,)
                )
                for row in rows:
                    position = row[0]
                    yield row[1:]
            except sqlite3.DatabaseError:
                until = min(position + _ALONE, last)
                for alone in range(position + 1, until + 1):
                    yield from _one(connection, alone)
                position = until
            else:
                return


def _one(connection: sqlite3.Connection, position: int) -> Iterator[Row | None]:
    try:
        row: Any = connection.execute(f"{_COLUMNS} WHERE position = ?", (position,)).fetchone()
    except sqlite3.DatabaseError:
        yield None
    else:
        if row is not None:
            yield row[1:]


def _last(connection: sqlite3.Connection, at_least: int) -> int:
    """The last position that there may be."""
    found = [at_least]
    for query in ("SELECT max(seq) FROM sqlite_sequence", "SELECT max(position) FROM messages"):
        try:
            (position,) = connection.execute(query).fetchone()
        except sqlite3.DatabaseError:
            continue
        found.append(position or 0)
    return max(found)
