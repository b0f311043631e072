"""Events that wait to be sent: in memory, or in a file that outlives the process.

Not safe for several threads at once: the client holds its lock around each call.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from typing import TYPE_CHECKING, Protocol

from trackstream_client.answers import Queued
from trackstream_client.errors import ClientClosedError, QueueInUseError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["FileQueue", "MemoryQueue", "Queue"]


class Queue(Protocol):
    """First in, first out; what was sent leaves it only when its answer is known."""

    keeps: bool
    """Whether what is in it when the process ends is there in the next one."""
    size_bytes: int
    """Of all documents in it."""

    def __len__(self) -> int:
        """How many events are in it."""
        ...

    def put(self, event: Queued) -> None:
        """Add one at the end."""
        ...

    def head(self, most_events: int, most_bytes: int) -> list[Queued]:
        """The first of them, at least one if there is any, within these bounds; they stay in it.

        A byte more is counted for each, for the comma between them.
        """
        ...

    def remove(self, count: int) -> None:
        """Take the first so many out."""
        ...

    def forked(self) -> None:
        """The process is a copy now: what is in the queue is the other's to send."""
        ...

    def close(self) -> None:
        """Nothing more is done with it."""
        ...


class MemoryQueue:
    """A queue that ends with the process."""

    keeps = False

    def __init__(self) -> None:
        self.size_bytes = 0
        self._events: deque[Queued] = deque()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Queued) -> None:
        """Add one at the end."""
        self._events.append(event)
        self.size_bytes += len(event.body)

    def head(self, most_events: int, most_bytes: int) -> list[Queued]:
        """The first of them."""
        return _within(self._events, most_events, most_bytes)

    def remove(self, count: int) -> None:
        """Take the first so many out."""
        for _ in range(count):
            self.size_bytes -= len(self._events.popleft().body)

    def forked(self) -> None:
        """Forget what the other process will send."""
        self._events, self.size_bytes = deque(), 0

    def close(self) -> None:
        """Nothing is to do."""


class FileQueue:
    """A queue in an SQLite file, for one client at a time.

    When `put` has returned, the event is on the disk (WAL with synchronous=FULL): it survives the
    end of the process, kill -9 included, and of the machine.

    Args:
        path: the file; it is made if there is none.

    Raises:
        QueueInUseError: another client has it open.
    """

    keeps = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pid = os.getpid()
        self._database = sqlite3.connect(
            path, timeout=0.0, isolation_level=None, check_same_thread=False
        )
        run = self._database.execute
        try:
            # Exclusive: held from the first read to the end of the process, however it ends.
            run("PRAGMA locking_mode = EXCLUSIVE")
            run("PRAGMA journal_mode = WAL")
            run("PRAGMA synchronous = FULL")
            run(
                "CREATE TABLE IF NOT EXISTS events "
                "(number INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL, "
                "body BLOB NOT NULL)"
            )
            run("BEGIN EXCLUSIVE")
            run("COMMIT")
            row = run("SELECT count(*), coalesce(sum(length(body)), 0) FROM events").fetchone()
        except sqlite3.OperationalError as error:
            self._database.close()
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise QueueInUseError(f"another client has {path} open") from error
            raise
        self._count, self.size_bytes = int(row[0]), int(row[1])

    def __len__(self) -> int:
        return self._count

    def put(self, event: Queued) -> None:
        """Add one at the end, on the disk.

        Raises:
            ClientClosedError: this process is a fork of the one that opened the file.
            sqlite3.Error: the disk does not take it.
        """
        if self._pid != os.getpid():
            raise ClientClosedError(f"{self._path} was opened before this process was forked")
        self._database.execute("INSERT INTO events (event_id, body) VALUES (?, ?)", event)
        self._count += 1
        self.size_bytes += len(event.body)

    def head(self, most_events: int, most_bytes: int) -> list[Queued]:
        """The first of them."""
        rows = self._database.execute(
            "SELECT event_id, body FROM events ORDER BY number LIMIT ?", (most_events,)
        )
        return _within((Queued(*row) for row in rows), most_events, most_bytes)

    def remove(self, count: int) -> None:
        """Take the first so many out."""
        last, gone, size_bytes = self._database.execute(
            "SELECT max(number), count(*), coalesce(sum(length(body)), 0) "
            "FROM (SELECT number, body FROM events ORDER BY number LIMIT ?)",
            (count,),
        ).fetchone()
        self._database.execute("DELETE FROM events WHERE number <= ?", (last,))
        self._count -= gone
        self.size_bytes -= size_bytes

    def forked(self) -> None:
        """Forget it: SQLite must not be carried over a fork, so `put` refuses from now on."""
        self._count = self.size_bytes = 0

    def close(self) -> None:
        """Let another client open the file."""
        if self._pid == os.getpid():
            self._database.close()


def _within(events: Iterable[Queued], most_events: int, most_bytes: int) -> list[Queued]:
    found: list[Queued] = []
    size = 0
    for event in events:
        size += len(event.body) + 1
        if found and (len(found) == most_events or size > most_bytes):
            break
        found.append(event)
    return found
