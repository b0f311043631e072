from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.cli.upped import trackstream
from tests.ports import free_port
from trackstream.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path))


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, arguments)
    assert not isinstance(result.exception, Exception) or result.exit_code
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("command", "needs"),
    [
        (["worker"], "TRACKSTREAM_KAFKA_URL, TRACKSTREAM_POSTGRES_URL"),
        (["collect"], "TRACKSTREAM_KAFKA_URL, TRACKSTREAM_POSTGRES_URL"),
        (["warehouse"], "TRACKSTREAM_KAFKA_URL, TRACKSTREAM_POSTGRES_URL"),
        (["migrate"], "TRACKSTREAM_POSTGRES_URL"),
        (["topics", "create"], "TRACKSTREAM_KAFKA_URL"),
        (["topics", "list"], "TRACKSTREAM_KAFKA_URL"),
        (["apps", "list"], "TRACKSTREAM_POSTGRES_URL"),
        (["keys", "list"], "TRACKSTREAM_POSTGRES_URL"),
        (["links", "list"], "TRACKSTREAM_POSTGRES_URL"),
        (["explain", "demo:1"], "TRACKSTREAM_POSTGRES_URL"),
        (["import", "access-log", "-"], "TRACKSTREAM_COLLECTOR_URL"),
        (["simulate"], "TRACKSTREAM_COLLECTOR_URL"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_missing_is_named_in_one_line(
    command: list[str], needs: str, tmp_path: Path
) -> None:
    code, out, err = run(*command)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith(f"trackstream: set {needs}")
    assert f"no `trackstream up` runs on {tmp_path}" in line
    assert "Traceback" not in err


def test_all_problems_of_the_settings_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKSTREAM_KAFKA_URL", "host:9092")
    monkeypatch.setenv("TRACKSTREAM_WORKER_PORT", "many")
    monkeypatch.setenv("TRACKSTREAM_COLOUR", "red")
    code, out, err = run("settings")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 3
    for name in ("TRACKSTREAM_KAFKA_URL", "TRACKSTREAM_WORKER_PORT", "TRACKSTREAM_COLOUR"):
        assert name in err


def test_a_database_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("TRACKSTREAM_POSTGRES_URL", f"postgresql://u:p@127.0.0.1:{port}/d")
    code, out, err = run("apps", "list")
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("trackstream: PostgreSQL: ")
    assert line.endswith("(TRACKSTREAM_POSTGRES_URL)")


@pytest.mark.parametrize(
    ("host", "setting"), [("127.0.0.1", "WORKER_PORT"), ("203.0.113.1", "WORKER_HOST")]
)
def test_a_worker_that_cannot_listen_names_its_setting(
    host: str, setting: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = trackstream(
            tmp_path,
            "worker",
            TRACKSTREAM_KAFKA_URL="kafka://127.0.0.1:1",
            TRACKSTREAM_POSTGRES_URL="postgresql://u:p@127.0.0.1:1/d",
            TRACKSTREAM_WORKER_HOST=host,
            TRACKSTREAM_WORKER_PORT=str(port),
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"trackstream: TRACKSTREAM_{setting}: cannot listen on {host}:{port}: ")


def test_an_app_that_cannot_be_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = trackstream(tmp_path / "data", "up", TRACKSTREAM_APP_ID="a b")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("trackstream: TRACKSTREAM_APP_ID takes ")
    assert not (tmp_path / "data").exists()


def test_a_collector_that_is_not_one(monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run("import", "access-log", "nowhere.log")
    assert code == 1
    assert err == "trackstream: nowhere.log is not a file that can be read\n"


def test_a_directory_is_no_log_and_a_pipe_is_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    code, _, err = run("import", "access-log", str(tmp_path))
    assert (code, err) == (1, f"trackstream: {tmp_path} is not a file that can be read\n")
    code, _, err = run("import", "access-log", str(tmp_path / "pipe"))
    assert (code, err.startswith("trackstream: set TRACKSTREAM_COLLECTOR_URL")) == (1, True)


def test_a_registry_that_is_not_one() -> None:
    assert run("schemas", "push", "nonsense")[0] == 1
    code, _, err = run("schemas", "push", f"http://127.0.0.1:{free_port()}")
    assert code == 1
    assert "does not answer" in err


def test_an_unknown_schema_is_said() -> None:
    code, _, err = run("schemas", "show", "Nothing")
    assert code == 1
    assert "`trackstream schemas list` lists them" in err
