"""`faust -A trackstream` starts, or says why not."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.waiting import PATIENCE_S
from trackstream.application import create_app, rules_of
from trackstream.core import rules
from trackstream.settings import Settings, SettingsError
from trackstream.startup import check_names

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str, folder: Path | None = None, **environ: str) -> tuple[int, str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("TRACKSTREAM_")} | environ
    done = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "trackstream", *arguments],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_bad_settings_are_named_without_a_traceback() -> None:
    code, said = run("worker", TRACKSTREAM_WORKER_PORT="high", TRACKSTREAM_NONSENSE="1")

    assert code == 1
    assert "trackstream cannot start:" in said
    assert "TRACKSTREAM_WORKER_PORT" in said
    assert "TRACKSTREAM_NONSENSE is not a setting" in said
    assert "Traceback" not in said


def test_a_broker_and_a_database_are_asked_for() -> None:
    with pytest.raises(SettingsError) as missing:
        create_app(Settings())
    kafka, postgres = missing.value.problems
    assert "TRACKSTREAM_KAFKA_URL is not set" in kafka
    assert "TRACKSTREAM_POSTGRES_URL is not set" in postgres


def test_no_worker_decides_by_default_rules_for_want_of_a_database(tmp_path: Path) -> None:
    code, said = run(
        "worker",
        TRACKSTREAM_KAFKA_URL="kafka://127.0.0.1:1",
        TRACKSTREAM_DATA_DIR=str(tmp_path / "data"),
    )

    assert code == 1
    assert "TRACKSTREAM_POSTGRES_URL is not set" in said
    assert "Traceback" not in said
    assert not (tmp_path / "data").exists()


def test_another_package_of_the_name_agents_is_complained_about(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("")

    code, said = run("worker", folder=tmp_path, TRACKSTREAM_KAFKA_URL="kafka://127.0.0.1:1")

    assert code == 1
    assert "the package 'agents' is found in" in said
    assert "Traceback" not in said


def test_our_own_names_are_fine() -> None:
    check_names()


def test_agents_and_tables_are_listed_by_faust(tmp_path: Path) -> None:
    code, said = run(
        "agents",
        TRACKSTREAM_KAFKA_URL="kafka://127.0.0.1:1",
        TRACKSTREAM_POSTGRES_URL="postgresql://u:p@127.0.0.1:1/d",
        TRACKSTREAM_DATA_DIR=str(tmp_path),
        TRACKSTREAM_WORKER_PORT="0",
    )

    assert code == 0, said
    for name in ("enrich", "match", "attribute"):
        assert name in said


def test_rules_that_differ_have_another_name() -> None:
    assert rules_of(Settings()) is rules.DEFAULT
    other = rules_of(Settings(session_gap_s=60))
    assert other.session_gap_ms == 60_000
    assert other.version != rules.DEFAULT.version
