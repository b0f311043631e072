from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.waiting import PATIENCE_S
from trackstream.embedded.directory import DirectoryLock, own_folder, secret
from trackstream.embedded.errors import DirectoryInUseError, DirectoryUnusableError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_secret_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "password"
    value = secret(path)
    assert len(value) >= 32
    assert secret(path) == value
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret(tmp_path / "another") != value


def test_half_a_secret_left_by_a_crash_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "password.new").write_text("ha")
    assert secret(tmp_path / "password") != "ha"


def test_a_lock_is_for_one(tmp_path: Path) -> None:
    lock = DirectoryLock("it", tmp_path, timeout_s=0.1)
    with pytest.raises(DirectoryInUseError, match=r"it is already running on .*"):
        DirectoryLock("it", tmp_path, timeout_s=0.1)
    lock.close()
    DirectoryLock("it", tmp_path, timeout_s=0.1).close()


def test_a_lock_lives_as_long_as_the_process_that_inherits_it(tmp_path: Path) -> None:
    lock = DirectoryLock("it", tmp_path, timeout_s=0.1)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(command, pass_fds=(lock.fd,)) as heir:
        lock.close()
        with pytest.raises(DirectoryInUseError):
            DirectoryLock("it", tmp_path, timeout_s=0.1)
        heir.kill()
    DirectoryLock("it", tmp_path, timeout_s=0.1).close()


def test_an_ending_owner_is_waited_for(tmp_path: Path) -> None:
    lock = DirectoryLock("it", tmp_path, timeout_s=0.1)
    command = [sys.executable, "-c", "import time; time.sleep(0.5)"]
    with subprocess.Popen(command, pass_fds=(lock.fd,)):
        lock.close()
        started = time.monotonic()
        DirectoryLock("it", tmp_path, timeout_s=PATIENCE_S).close()
        assert time.monotonic() - started < PATIENCE_S / 2


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").write_text("a file")
    with pytest.raises(DirectoryUnusableError, match="cannot make its folder"):
        own_folder("it", tmp_path / "postgres")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_is_refused_unless_we_are_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "postgres"
    own_folder("it", folder)
    os.chown(folder, 12345, 12345)
    own_folder("it", folder)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(DirectoryUnusableError, match=r"user with id 12345, and this is 54321"):
        own_folder("it", folder)
