"""`.ci/apache-kafka`: when it skips, when it fails, and what it does where it can."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JARS = "jars-4.1.1"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def command(cache: Path, script: str) -> list[str | Path]:
    start: list[str | Path] = [sys.executable, ROOT / ".ci" / "apache-kafka", "--cache", cache]
    return [*start, "run", "--", sys.executable, "-c", script]


def run(programs: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(tmp_path / "cache", "print('command ran')"),
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )


JAVA_21 = """[ "$1" = -version ] && echo 'openjdk version "21.0.1" 2023-10-17' >&2 && exit 0\n"""


@pytest.mark.parametrize(
    ("java", "maven", "reason"),
    [
        (None, "exit 0", "no java on PATH"),
        ("echo 'java version \"1.8.0_292\"' >&2", "exit 0", "it needs Java 17, and this is 8"),
        (JAVA_21, None, "no mvn on PATH to fetch it with"),
        (JAVA_21, "echo '[ERROR] offline'; exit 1", "Maven could not fetch it: [ERROR] offline"),
    ],
)
def test_what_cannot_be_fetched_is_skipped_in_one_line(
    programs: Path, tmp_path: Path, java: str | None, maven: str | None, reason: str
) -> None:
    if java:
        program(programs, "java", java)
    if maven:
        program(programs, "mvn", maven)
    done = run(programs, tmp_path)
    assert (done.returncode, done.stdout) == (0, f"skipped Apache Kafka: {reason}\n")


def test_a_server_that_does_not_start_is_a_failure(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "cache" / JARS).mkdir(parents=True)
    format_only = 'case "$*" in *StorageTool*) exit 0;; esac; echo out of luck; exit 1'
    program(programs, "java", JAVA_21 + format_only)
    done = run(programs, tmp_path)
    assert done.returncode == 1
    assert "did not start" in done.stderr
    assert "out of luck" in done.stderr
    assert "command ran" not in done.stdout


def test_a_storage_that_cannot_be_formatted_is_a_failure(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "cache" / JARS).mkdir(parents=True)
    program(programs, "java", JAVA_21 + "echo full disk; exit 3")
    done = run(programs, tmp_path)
    assert done.returncode == 1
    assert "could not format its storage" in done.stderr
    assert "full disk" in done.stderr
    assert "command ran" not in done.stdout


@pytest.mark.apache_kafka
@pytest.mark.xdist_group("embedded_servers")
def test_a_command_runs_beside_it(tmp_path: Path) -> None:
    cache = ROOT / "build" / "apache-kafka"
    if not (cache / JARS).is_dir() or not shutil.which("java"):
        pytest.skip("Apache Kafka has not been fetched here")
    script = """
import os, sys
from confluent_kafka.admin import AdminClient
address = os.environ["TRACKSTREAM_TEST_APACHE_KAFKA"]
assert os.environ["TRACKSTREAM_TEST_KAFKA_URL"] == f"kafka://{address}"
brokers = AdminClient({"bootstrap.servers": address}).list_topics(timeout=60).brokers
assert [f"{broker.host}:{broker.port}" for broker in brokers.values()] == [address]
sys.exit(7)
"""
    done = subprocess.run(
        command(cache, script),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert list(tmp_path.iterdir()) == []  # its data is thrown away
