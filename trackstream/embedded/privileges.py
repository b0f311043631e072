"""Whom a server runs as when we are root, and what that account can reach."""

from __future__ import annotations

import os
import pwd
import stat
from typing import TYPE_CHECKING

from trackstream.embedded.errors import DirectoryUnusableError
from trackstream.embedded.process import Account

if TYPE_CHECKING:
    from pathlib import Path

_UNPRIVILEGED = ("postgres", "nobody")


def account_for(data: Path) -> Account | None:
    """Return the account that a server which refuses root runs as; None when we are not root.

    Who already owns the data goes on with it; new data goes to `postgres` or else `nobody`.

    Raises:
        DirectoryUnusableError: We are not root, and the data is somebody else's; or the machine
            has no unprivileged account.
    """
    owner = data.stat() if data.exists() else None
    if os.geteuid() != 0:
        if owner and owner.st_uid != os.geteuid():
            raise DirectoryUnusableError(
                f"{data} belongs to the user with id {owner.st_uid}, and this is {os.geteuid()}: "
                "run as that user, or give the data to this one"
            )
        return None
    if owner and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise DirectoryUnusableError(
        "PostgreSQL does not run as root, and this machine has no user named "
        f"{' or '.join(_UNPRIVILEGED)}: add one, or run as another user"
    )


def give(tree: Path, account: Account) -> None:
    """Make the account the owner of a tree of files."""
    for folder, _, files in os.walk(tree):
        os.chown(folder, account.uid, account.gid)
        for file in files:
            os.chown(os.path.join(folder, file), account.uid, account.gid, follow_symlinks=False)  # noqa: PTH118  # names as walk gives them


def can_reach(path: Path, account: Account) -> bool:
    """Whether the modes of a path and of the folders above let the account read and enter it."""
    path = path.resolve()
    for step in (path, *path.parents):
        wanted = 5 if step == path else 1
        status = step.stat()
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid == account.uid:
            mode >>= 6
        elif status.st_gid == account.gid:
            mode >>= 3
        if mode & wanted != wanted:
            return False
    return True
