from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from trackstream.cli import running
from trackstream.cli.base import Problem
from trackstream.cli.running import Running
from trackstream.embedded.directory import DirectoryLock
from trackstream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UP = Running(
    collector_url="http://127.0.0.1:1",
    worker_url="http://127.0.0.1:2",
    kafka="kafka://127.0.0.1:3",
    postgres="postgresql://u:p@127.0.0.1:4/d",
    redis="redis://127.0.0.1:5/0",
    app_id="shop",
    key_id="srv_1",
    secret="s",
    write_key="wk_1",
    archive="s3://bucket/events",
)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def up(data_dir: Path) -> Iterator[Running]:
    lock = DirectoryLock("TrackStream", data_dir, timeout_s=0)
    running.keep(data_dir, UP)
    yield UP
    lock.close()


def test_a_running_service_is_found(data_dir: Path, up: Running) -> None:
    assert running.found(data_dir) == up


def test_only_the_owner_can_read_it(data_dir: Path, up: Running) -> None:
    assert stat.S_IMODE((data_dir / "running.json").stat().st_mode) == 0o600


def test_settings_come_from_the_running_service(up: Running) -> None:
    settings = running.settings_beside()
    assert settings.kafka_url == up.kafka
    assert settings.postgres_url == up.postgres
    assert settings.redis_url == up.redis
    assert settings.collector_url == up.collector_url
    assert settings.archive_url == up.archive
    assert (settings.app_id, settings.key_id, settings.secret) == ("shop", "srv_1", "s")


def test_what_is_set_wins(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKSTREAM_COLLECTOR_URL", "http://elsewhere")
    monkeypatch.setenv("TRACKSTREAM_APP_ID", "other")
    monkeypatch.setenv("TRACKSTREAM_KEY_ID", "srv_2")
    settings = running.settings_beside()
    assert settings.collector_url == "http://elsewhere"
    assert settings.app_id == "other"
    # The running service's secret is not that of another key.
    assert (settings.key_id, settings.secret) == ("srv_2", None)
    assert settings.kafka_url == up.kafka


def test_a_place_is_the_same_from_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert running.from_anywhere("data/archive") == str(tmp_path / "data/archive")
    assert running.from_anywhere("/a") == "/a"
    assert running.from_anywhere("s3://bucket/a") == "s3://bucket/a"
    assert running.from_anywhere(None) is None


def test_a_file_left_behind_is_seen_through(data_dir: Path) -> None:
    running.keep(data_dir, UP)
    assert "left over" in str(running.found(data_dir))
    settings = running.settings_beside()
    assert settings.kafka_url is None
    with pytest.raises(Problem, match="left over"):
        running.needed(settings, "kafka_url")


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps({"pid": 1})])
def test_a_broken_file_is_said_to_be(data_dir: Path, text: str) -> None:
    (data_dir / "running.json").write_text(text)
    assert "cannot be read" in str(running.found(data_dir))


def test_forgotten_is_gone(data_dir: Path, up: Running) -> None:
    running.forget(data_dir)
    running.forget(data_dir)
    assert "no `trackstream up` runs" in str(running.found(data_dir))


def test_what_is_needed_is_returned() -> None:
    settings = Settings(kafka_url="kafka://h:1", postgres_url="postgresql://h/d")
    assert running.needed(settings, "kafka_url", "postgres_url") == (
        "kafka://h:1",
        "postgresql://h/d",
    )
