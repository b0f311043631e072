"""A server's own folder in the data directory: its lock and its secret."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from typing import TYPE_CHECKING

from trackstream.embedded.errors import DirectoryInUseError, DirectoryUnusableError

if TYPE_CHECKING:
    from pathlib import Path

_POLL_S = 0.05


class DirectoryLock:
    """The right to run the one server of a folder.

    The lock belongs to the open file, and the server inherits that file: it is held exactly as
    long as a process of the server lives, through any crash of the parent, and no longer. So who
    has the lock knows that what a pid file says is of the past.

    Args:
        server: What the error calls it.
        folder: An existing folder; the lock is its file `lock`.
        timeout_s: How long an ending server is waited for.

    Raises:
        DirectoryInUseError: Another server holds the lock and does not end.
    """

    def __init__(self, server: str, folder: Path, *, timeout_s: float) -> None:
        self.fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(self.fd)
                    raise DirectoryInUseError(server, folder) from None
                time.sleep(_POLL_S)
            else:
                return

    def close(self) -> None:
        """Give up this process's share; a server that has inherited the file keeps the lock."""
        os.close(self.fd)


def own_folder(server: str, folder: Path) -> None:
    """Create a server's folder, or check that this user may use the one that is there.

    Others may pass through it (a server that has dropped its privileges must) but not look.

    Raises:
        DirectoryUnusableError: It belongs to somebody else, or cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DirectoryUnusableError(
            f"{server} cannot make its folder {folder}: {error.strerror}"
        ) from error
    owner = folder.stat().st_uid
    if os.geteuid() not in {0, owner}:
        raise DirectoryUnusableError(
            f"{folder} belongs to the user with id {owner}, and this is {os.geteuid()}: "
            f"run as that user, or give the data directory to this one"
        )
    folder.chmod(0o711)  # whatever the umask is


def secret(path: Path) -> str:
    """Return the secret kept in a file that only its owner can read, generated on first use."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        value = secrets.token_urlsafe(24)
        # Renamed into place, so that a crash cannot leave half a secret.
        draft = path.with_name(path.name + ".new")
        draft.unlink(missing_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(value + "\n")
        draft.rename(path)
        return value
