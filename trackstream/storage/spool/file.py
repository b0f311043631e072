"""A spool file: an SQLite table that is appended to at its end and emptied from its front.

Whoever calls it does so from one thread at a time. `synchronous=FULL` in WAL mode: a transaction
is on the disk when COMMIT returns (https://sqlite.org/pragma.html#pragma_synchronous).

On a full disk a file can be opened, read and emptied: none of that writes, but for the removal of
messages, and what is removed is known in memory, too. An empty file is deleted if it cannot shrink.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from trackstream.storage.spool.rows import COUNT, OVERHEAD_BYTES, ROWS, decoding, size_bytes, stored
from trackstream.storage.spool.salvage import salvaged
from trackstream.storage.spool.slots import rename, sync_folders
from trackstream.storage.spool.state import SpoolState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trackstream.storage.spool.rows import Message, Stored
    from trackstream.storage.spool.slots import Slot

__all__ = ["SpoolFile"]

_log = logging.getLogger(__name__)

_VERSION = 1
_INSERT = "INSERT INTO messages (at_ms, topic, key, value) VALUES (?, ?, ?, ?)"
_PROBE_BYTES = 2**18
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SMALL_PAGES = 256
_JOURNAL_BYTES = 8 * 2**20


class SpoolFile:
    """The messages of one slot, in order. Opened by its first use, again after `close`.

    Every method raises sqlite3.Error or OSError for a disk that fails; nothing has changed then,
    unless its own contract says so. After each such error `after` has to be called.

    Args:
        slot: the file's place.
        state: counts what is salvaged from a damaged file, and what is lost.
    """

    def __init__(self, slot: Slot, state: SpoolState | None = None) -> None:
        self._slot = slot
        self._state = state or SpoolState()
        self._connection: sqlite3.Connection | None = None
        self._is_known = False
        self._removed = 0
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
                    _INSERT,
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
            f"{ROWS} WHERE position > ? ORDER BY position LIMIT ?",
            (self._removed, max_messages),
        )
        for row in rows:
            one = stored(row)
            found.append(one)
            size += len(one.value)
            if size >= max_bytes:
                break
        rows.close()
        return found

    def remove(self, drained: list[Stored]) -> None:
        """Forget messages that `head` has given; give the disk back when none is left.

        If this raises they are forgotten all the same, until the process ends.
        """
        self._removed = drained[-1].position
        self.messages -= len(drained)
        # of text that is no UTF-8 there is more here than there
        drained_bytes = size_bytes([one[2:5] for one in drained])
        self.size_bytes = max(0, self.size_bytes - drained_bytes) if self.messages else 0
        connection = self.open()
        oldest = connection.execute(
            "SELECT CAST(at_ms AS INTEGER) FROM messages WHERE position > ?"
            " ORDER BY position LIMIT 1",
            (self._removed,),
        )
        row = oldest.fetchone()
        self.oldest_at_ms = row[0] if row else None
        with _transaction(connection):
            connection.execute("DELETE FROM messages WHERE position <= ?", (self._removed,))
        if not self.messages:
            with suppress(sqlite3.Error):
                _shrink(connection)

    def open(self) -> sqlite3.Connection:
        """Open the file, made if absent; of a broken one what can be read is taken over."""
        if self._connection is None:
            try:
                self._connection = self._opened()
            except sqlite3.DatabaseError as error:
                if not _is_broken(error):
                    raise
                self._set_aside(error)
                self._connection = self._opened()
            if self._damaged.exists():
                try:
                    self._salvage(self._connection)
                except BaseException:
                    self.close()
                    raise
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
        with suppress(OSError):
            if _is_broken(error):
                self._set_aside(error)
            elif self._is_known and not self.messages:
                self.delete()

    def delete(self) -> None:
        """Close and delete an empty file."""
        self.close()
        for path in self._slot.files():
            path.unlink(missing_ok=True)
        self._removed = 0

    def probe(self) -> None:
        """See whether the disk takes something."""
        path = self._slot.path.with_suffix(".probe")
        try:
            with path.open("wb") as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        finally:
            path.unlink(missing_ok=True)

    @property
    def _damaged(self) -> Path:
        """A broken file of which nothing was taken over yet, also by an earlier process."""
        return self._slot.path.with_name(self._slot.path.name + ".damaged")

    def _aside(self) -> Path:
        name = self._slot.path.name
        return self._slot.path.with_name(f"{name}.broken-{time.time_ns() // 1_000_000}")

    def _set_aside(self, error: Exception) -> None:
        """Rename a file that cannot be read, so that there can be a new one."""
        self.close()
        _log.error("the spool %s is broken: %s", self._slot.path, error)
        rename(self._slot.path, self._aside() if self._damaged.exists() else self._damaged)

    def _salvage(self, connection: sqlite3.Connection) -> None:
        """Take over what the broken file has, before anything else comes, and keep it."""
        kept, lost = 0, 0
        with _transaction(connection):
            for row in salvaged(self._damaged, after=self._removed, expected=self.messages):
                if row is None or None in row:
                    lost += 1
                    continue
                connection.execute(_INSERT, row)
                kept += 1
        self._removed = 0
        aside = self._aside()
        rename(self._damaged, aside)
        self._state.salvaged += kept
        self._state.lost += lost
        _log.error(
            "of a broken spool %d messages were taken over, %d cannot be read; it is kept as %s",
            kept, lost, aside,
        )  # fmt: skip
        self._count(connection)

    def _opened(self) -> sqlite3.Connection:
        path = self._slot.path
        if not path.exists():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            sync_folders(path.parent)
        connection = decoding(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # no file of shared memory
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA journal_size_limit={_JOURNAL_BYTES}")
            _make_table(connection)
            if not self._damaged.exists():
                self._count(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _count(self, connection: sqlite3.Connection) -> None:
        self.messages, self.size_bytes, self.oldest_at_ms = connection.execute(
            f"{COUNT} WHERE position > ?", (OVERHEAD_BYTES, self._removed)
        ).fetchone()
        self._is_known = True


def _shrink(connection: sqlite3.Connection) -> None:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if pages > _SMALL_PAGES:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _make_table(connection: sqlite3.Connection) -> None:
    """Make the table in a new file; writes nothing into one that has it."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == _VERSION:
        return
    if version:
        raise sqlite3.NotSupportedError(f"the spool is of another version, {version}")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS messages (position INTEGER PRIMARY KEY AUTOINCREMENT,"
        " at_ms INTEGER NOT NULL, topic TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL)"
    )
    connection.execute(f"PRAGMA user_version={_VERSION}")


def _is_broken(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN


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
