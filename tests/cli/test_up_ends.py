"""How `trackstream up` ends, and begins again: nothing is lost, no process is left."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.certificates import write_certificate
from tests.cli.upped import Up, eventually, get, install, method_of, query, started, trackstream
from tests.ports import free_port
from tests.waiting import PATIENCE_S
from trackstream.cli import main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("up")


def test_stopped_and_started_again_everything_is_there(tmp_path: Path) -> None:
    data_dir, place = tmp_path / "data", {"TRACKSTREAM_ARCHIVE_URL": str(tmp_path / "archive")}
    with started(data_dir, "--json", **place) as first:
        ready = json.loads(first.line('"ready"'))
        first.see_family()
        assert len(first.family) >= 7
        install(ready, "install-1", "phone-1")
        method_of(ready, "install-1")
        began = time.monotonic()
        assert first.stop() == 0, "".join(first.err)
        assert time.monotonic() - began < PATIENCE_S / 2
        assert first.left() == []
        assert not (data_dir / "running.json").exists()
        credentials = (data_dir / "credentials.json").read_text()
    archived = trackstream(data_dir, "archive", "verify", "--json", **place)
    assert archived.returncode == 0, archived.stderr
    assert sum(row["rows"] for row in json.loads(archived.stdout)) == 1

    if shutil.which("curl") is None:
        pytest.skip("without curl its commands cannot be pasted")
    with started(data_dir) as second:
        second.line("Each attribution shows here")
        assert (data_dir / "credentials.json").read_text() == credentials
        again = json.loads((data_dir / "running.json").read_text())
        assert [again[name] for name in ("key_id", "write_key")] == [
            ready["key_id"],
            ready["write_key"],
        ]
        assert query(again, "SELECT event_id FROM attributions") == [("install-1",)]
        assert get(second.line("live page").split()[-1])[0] == 200
        click, first_open = commands(second)
        assert "302 Found" in pasted(click)
        assert json.loads(pasted(first_open))["status"] == "accepted"
        line = second.line("click_deterministic")
        assert line.split()[2:6] == ["demo", "install", "click_deterministic", "demo-hello"]
        second.see_family()
        assert second.stop() == 0, "".join(second.err)
        assert second.left() == []


def test_with_a_certificate_it_is_reached_by_https(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("without curl its commands cannot be pasted")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    write_certificate(chain, key, "track.example.com")
    tls = {"TRACKSTREAM_TLS_CERTIFICATE": str(chain), "TRACKSTREAM_TLS_KEY": str(key)}
    with started(tmp_path / "data", **tls) as up:
        up.line("Each attribution shows here")
        assert "https://127.0.0.1:" in up.line("collector")
        click, first_open = commands(up)
        assert "302 Found" in pasted(click)
        assert json.loads(pasted(first_open))["status"] == "accepted"
        up.line("click_deterministic")
        assert up.stop() == 0, "".join(up.err)


def commands(up: Up) -> list[str]:
    """What it has printed to be pasted."""
    text = "".join(up.out).replace("\\\n", "")
    return [line.strip() for line in text.splitlines() if line.strip().startswith("curl")]


def pasted(command: str) -> str:
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    ).stdout


@pytest.mark.parametrize(
    ("program", "name", "log"),
    [
        ("trackstream worker", "the worker", "logs/worker.log"),
        ("trackstream.embedded.broker", "the Kafka broker", "kafka/server.log"),
    ],
)
def test_a_child_that_is_killed_ends_the_whole(
    tmp_path: Path, program: str, name: str, log: str
) -> None:
    with started(tmp_path / "data", "--json") as up:
        up.line('"ready"')
        up.see_family()
        up.child(program).kill()
        assert up.ended() == 1
        said = "".join(up.err)
        assert f"trackstream: {name} ended (by SIGKILL)" in said
        assert f"its log is {tmp_path / 'data' / log}" in said
        assert "Traceback" not in said
        assert up.left() == []
        assert len(up.out) == 1


def test_an_archive_that_cannot_be_written_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TRACKSTREAM_ARCHIVE_URL", str(tmp_path / "archive"))
    done = CliRunner().invoke(main, ["up"])
    assert done.exit_code == 1
    assert "pyarrow is not installed: pip install 'trackstream[archive]'" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("setting", ["COLLECTOR_PORT", "WORKER_PORT", "KAFKA_PORT"])
def test_a_taken_port_is_said_with_its_setting(tmp_path: Path, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = trackstream(tmp_path / "data", "up", **{f"TRACKSTREAM_{setting}": str(port)})
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert f"TRACKSTREAM_{setting}" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_address_of_another_machine_is_said_with_its_setting(tmp_path: Path) -> None:
    given = {"TRACKSTREAM_COLLECTOR_HOST": "203.0.113.1", "TRACKSTREAM_COLLECTOR_PORT": "8080"}
    done = trackstream(tmp_path / "data", "up", **given)
    assert done.returncode == 1
    assert "TRACKSTREAM_COLLECTOR_HOST" in done.stderr
    assert "TRACKSTREAM_COLLECTOR_PORT" not in done.stderr


def test_one_port_for_two_is_said_with_both_settings(tmp_path: Path) -> None:
    port = str(free_port())
    given = {"TRACKSTREAM_COLLECTOR_PORT": port, "TRACKSTREAM_WORKER_PORT": port}
    done = trackstream(tmp_path / "data", "up", **given)
    assert done.returncode == 1
    assert f"TRACKSTREAM_COLLECTOR_PORT and TRACKSTREAM_WORKER_PORT are both {port}" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_kafka_that_does_not_answer_is_said_once_with_its_setting(tmp_path: Path) -> None:
    url = f"kafka://127.0.0.1:{free_port()}"
    done = trackstream(tmp_path / "data", "up", TRACKSTREAM_KAFKA_URL=url)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "afka" in line]
    assert line.startswith(f"trackstream: Kafka at {url} did not create the topics")
    assert line.endswith(": no answer (TRACKSTREAM_KAFKA_URL)")


def test_stopped_while_it_starts_it_leaves_nothing(tmp_path: Path) -> None:
    with started(tmp_path / "data") as up:
        eventually(lambda: [line for line in up.err if "topics" in line])
        up.see_family()
        assert up.stop() == 0, "".join(up.err)
        assert up.left() == []
        assert not (tmp_path / "data" / "running.json").exists()
