"""Which archive is looked at, and what is said where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.cli.test_running import UP
from tests.storage.records import an_event
from trackstream.archive import open_place
from trackstream.archive.ranges import Message, PartitionRanges
from trackstream.cli import main, running
from trackstream.codec import encode
from trackstream.embedded.directory import DirectoryLock

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(folder))
    monkeypatch.delenv("TRACKSTREAM_ARCHIVE_URL", raising=False)
    return folder


def verified(*options: str) -> Result:
    return CliRunner().invoke(main, ["archive", "verify", *options])


def archive(place: Path) -> None:
    ranges = PartitionRanges(open_place(str(place)), "t.events", 0)
    ranges.load()
    ranges.append([Message(0, encode(an_event()))])


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("there", [True, False])
def test_a_place_that_never_was_an_archive_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], *, there: bool
) -> None:
    place = tmp_path / "mistyped"
    if there:
        place.mkdir()
    monkeypatch.setenv("TRACKSTREAM_ARCHIVE_URL", str(place))
    done = verified(*options)
    assert done.exit_code == 1
    assert f"{place} is no archive" in done.stderr
    assert done.stdout == ""
    assert place.exists() == there


def test_the_archive_of_what_runs_is_found(tmp_path: Path, data_dir: Path) -> None:
    archive(tmp_path / "elsewhere")
    assert f"{data_dir / 'archive'} is no archive" in verified().stderr
    lock = DirectoryLock("TrackStream", data_dir, timeout_s=0)
    try:
        running.keep(data_dir, replace(UP, archive=str(tmp_path / "elsewhere")))
        done = verified("--json")
    finally:
        lock.close()
    assert done.exit_code == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    assert [row["rows"] for row in rows] == [1]
