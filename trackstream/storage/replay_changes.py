"""Decisions that a replay has changed, beside memory: in a temporary file that ends with it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Self

from trackstream.codec import decode, encode
from trackstream.core.records import Attribution
from trackstream.core.replay import Brought

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Changes"]

_IDS_AT_ONCE = 500


class Changes:
    """Revisions by conversion, in the order in which they were added. Not for several threads."""

    def __init__(self) -> None:
        # No name: SQLite keeps it in memory while it is small, then in a file that it has deleted.
        self._file = sqlite3.connect("")
        self._file.execute(
            "CREATE TABLE changes (n INTEGER PRIMARY KEY, conversion_id TEXT UNIQUE, record BLOB)"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, revised: Attribution) -> None:
        """Keep a revision; one of each conversion."""
        self._file.execute(
            "INSERT INTO changes (conversion_id, record) VALUES (?, ?)",
            (revised.conversion_id, encode(revised)),
        )

    def brought(self, conversion_ids: Iterable[str]) -> dict[str, Brought]:
        """To what those of these conversions that have changed are attributed now."""
        wanted = sorted(set(conversion_ids))
        found: dict[str, Brought] = {}
        for begin in range(0, len(wanted), _IDS_AT_ONCE):
            some = wanted[begin : begin + _IDS_AT_ONCE]
            marks = ", ".join("?" * len(some))
            rows = self._file.execute(
                f"SELECT conversion_id, record FROM changes WHERE conversion_id IN ({marks})",  # noqa: S608 - question marks
                some,
            )
            for conversion_id, record in rows:
                revised = _attribution(record)
                found[conversion_id] = Brought(revised.touch, revised.confidence)
        return found

    def __iter__(self) -> Iterator[Attribution]:
        for (record,) in self._file.execute("SELECT record FROM changes ORDER BY n"):
            yield _attribution(record)


def _attribution(record: bytes) -> Attribution:
    found = decode(record)
    if not isinstance(found, Attribution):
        raise TypeError(f"{type(found).__name__} is kept as a change")
    return found
