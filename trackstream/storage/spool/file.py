"""A spool file: an SQLite table that is appended to at its end and emptied from its front.

Whoever calls it does so from one thread at a time. `synchronous=FULL` in WAL mode: a transaction
is on the disk when COMMIT returns (https://sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trackstream.storage.spool.slots import Slot

__all__ = ["Message", "SpoolFile", "Stored", "size_bytes"]

_log = logging.getLogger(__name__)

Message = tuple[str, bytes, bytes]
"""Topic without its prefix, key, value."""

_VERSION = 1
_OVERHEAD_BYTES = 64
"""Of a row, roughly, beside its texts."""
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SMALL_PAGES = 256
_JOURNAL_BYTES = 8 * 2**20


class Stored(NamedTuple):
    """A message in a spool."""

    position: int
    at_ms: int
    topic: str
    key: bytes
    value: bytes


def size_bytes(messages: list[Message]) -> int:
    """What messages count against the bound."""
    return sum(
        len(topic) + len(key) + len(value) + _OVERHEAD_BYTES for topic, key, value in messages
    )


class SpoolFile:
    """The messages of one slot, in order. Opened by its first use, again after `close`.

    Every method raises sqlite3.Error or OSError for a disk that fails; nothing has changed then.
    """

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._connection: sqlite3.Connection | None = None
        self.messages = 0
        self.size_bytes = 0
        self.oldest_at_ms: int | None = None

    def append(self, groups: list[list[Message]], *, at_ms: int, max_bytes: int) -> list[bool]:
        """Keep each group whole or not at all, all in one transaction.

        Returns:
            For each group whether there was room for it.
        """
        connection = self.open()
        kept: list[bool] = []
        messages, taken_bytes = 0, 0
        with _transaction(connection):
            for group in groups:
                size = size_bytes(group)
                kept.append(self.size_bytes + taken_bytes + size <= max_bytes)
                if not kept[-1]:
                    continue
                connection.executemany(
                    "INSERT INTO messages (at_ms, topic, key, value) VALUES (?, ?, ?, ?)",
                    [(at_ms, *message) for message in group],
                )
                messages += len(group)
                taken_bytes += size
        if messages and not self.messages:
            self.oldest_at_ms = at_ms
        self.messages += messages
        self.size_bytes += taken_bytes
        return kept

    def head(self, *, max_messages: int, max_bytes: int) -> list[Stored]:
        """The oldest messages, in order; at least one unless there is none."""
        found: list[Stored] = []
        size = 0
        rows = self.open().execute(
            "SELECT position, at_ms, topic, key, value FROM messages ORDER BY position LIMIT ?",
            (max_messages,),
        )
        for row in rows:
            found.append(Stored(*row))
            size += len(row[4])
            if size >= max_bytes:
                break
        rows.close()
        return found

    def remove(self, stored: list[Stored]) -> None:
        """Forget messages that `head` has given; give the disk back when none is left."""
        connection = self.open()
        with _transaction(connection):
            connection.execute("DELETE FROM messages WHERE position <= ?", (stored[-1].position,))
        self.messages -= len(stored)
        self.size_bytes -= size_bytes([one[2:] for one in stored])
        oldest = connection.execute("SELECT at_ms FROM messages ORDER BY position LIMIT 1")
        row = oldest.fetchone()
        self.oldest_at_ms = row[0] if row else None
        if not self.messages:
            with suppress(sqlite3.Error):
                _shrink(connection)

    def open(self) -> sqlite3.Connection:
        """Open the file, made if absent; a broken one is set aside, for somebody to look at."""
        if self._connection is None:
            try:
                self._connection = self._opened()
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", None) not in _BROKEN:
                    raise
                self.set_aside(error)
                self._connection = self._opened()
        return self._connection

    def close(self) -> None:
        """Close the file; what is in it stays."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def after(self, error: Exception) -> None:
        """Make ready to try again after an error: the state of the connection is not known."""
        self.close()
        if getattr(error, "sqlite_errorcode", None) in _BROKEN:
            with suppress(OSError):
                self.set_aside(error)

    def set_aside(self, error: Exception) -> None:
        """Rename a file that cannot be read, so that there can be a new one."""
        self.close()
        aside = f".broken-{time.time_ns() // 1_000_000}"
        for path in self._slot.files():
            if path.exists():
                path.rename(path.with_name(path.name + aside))
        _log.error(
            "the spool %s is broken (%s): it is kept as *%s, with what it has of accepted data",
            self._slot.path, error, aside,
        )  # fmt: skip

    def delete(self) -> None:
        """Close and delete an empty file."""
        self.close()
        for path in self._slot.files():
            path.unlink(missing_ok=True)

    def _opened(self) -> sqlite3.Connection:
        path = self._slot.path
        if not path.exists():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            _sync_folders(path.parent)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # no file of shared memory
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA journal_size_limit={_JOURNAL_BYTES}")
            _check_version(connection)
            connection.execute(
                "CREATE TABLE IF NOT EXISTS messages (position INTEGER PRIMARY KEY AUTOINCREMENT,"
                " at_ms INTEGER NOT NULL, topic TEXT NOT NULL, key BLOB NOT NULL,"
                " value BLOB NOT NULL)"
            )
            connection.execute(f"PRAGMA user_version={_VERSION}")
            self.messages, self.size_bytes, self.oldest_at_ms = connection.execute(
                "SELECT count(*), coalesce(sum(length(CAST(topic AS BLOB)) + length(key)"
                " + length(value) + ?), 0), min(at_ms) FROM messages",
                (_OVERHEAD_BYTES,),
            ).fetchone()
        except BaseException:
            connection.close()
            raise
        return connection


def _shrink(connection: sqlite3.Connection) -> None:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if pages > _SMALL_PAGES:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _check_version(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in {0, _VERSION}:
        raise sqlite3.NotSupportedError(f"the spool is of another version, {version}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _sync_folders(folder: Path) -> None:
    """Have the disk know the new file's name, and that of the folder, which may be new, too."""
    for one in (folder, folder.parent):
        fd = os.open(one, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
