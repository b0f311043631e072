"""Which process has which spool file: `<slot>.db`, locked by `<slot>.lock` beside it.

The lock is the kernel's (flock) and ends with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Slot", "broken_files", "left_behind", "rename", "sync_folders", "take_slot"]


class Slot:
    """A locked place for a spool file; nobody else uses the file until `release`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        """The SQLite file; it may not be there yet."""
        self._lock: int | None = lock

    @property
    def released(self) -> bool:
        """Whether others may have it."""
        return self._lock is None

    def release(self) -> None:
        """Let others have it; twice is once."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def files(self) -> list[Path]:
        """The SQLite file and what SQLite keeps beside it."""
        return [self.path, *(self.path.with_name(self.path.name + end) for end in _BESIDE)]


_BESIDE = ("-wal", "-shm")


def take_slot(folder: Path) -> Slot:
    """The lowest free slot, so that a process that starts again finds what it left.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in itertools.count():
        slot = _lock(folder / f"{number}.db")
        if slot is not None:
            return slot
    raise AssertionError("numbers do not end")


def left_behind(folder: Path) -> Iterator[Slot]:
    """Every spool file that no process has, locked for the caller, who releases each."""
    for path in sorted(folder.glob("*.db")):
        with contextlib.suppress(OSError):
            slot = _lock(path)
            if slot is not None and path.exists():
                yield slot
            elif slot is not None:
                slot.release()


def _lock(path: Path) -> Slot | None:
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except BaseException:
        os.close(lock)
        raise
    return Slot(path, lock)


def broken_files(folder: Path) -> int:
    """How many files were broken and wait for somebody to look at them, and delete them."""
    return sum(not path.name.endswith(_BESIDE) for path in folder.glob("*.db.broken-*"))


def rename(old: Path, new: Path) -> None:
    """Rename a file of SQLite's, and before it what SQLite keeps beside it."""
    for end in (*_BESIDE, ""):
        path = old.with_name(old.name + end)
        if path.exists():
            path.rename(new.with_name(new.name + end))


def sync_folders(folder: Path) -> None:
    """Have the disk know a new file's name, and that of its folder, which may be new, too."""
    for one in (folder, folder.parent):
        fd = os.open(one, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
