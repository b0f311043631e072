"""Files that are whole or not there, and created once."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from trackstream.archive.place import Directory, Place, Remote, open_place

if TYPE_CHECKING:
    from pathlib import Path


class Overwriting(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """As some object stores' clients are: the mode of a write is taken, and means nothing."""

    def pipe_file(self, path: str, value: bytes, **_: Any) -> None:
        with self.open(path, "wb") as file:
            file.write(value)


@pytest.fixture(params=["directory", "memory", "overwriting"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    match request.param:
        case "directory":
            return open_place(str(tmp_path / "a"))
        case "memory":
            return open_place(f"memory://{uuid4().hex}/a")
        case _:
            return Remote(Overwriting(), f"/{uuid4().hex}/a")


def test_what_is_there_is_not_created_again(place: Place) -> None:
    assert place.create("m/one", b"first")
    assert not place.create("m/one", b"second")
    assert place.read("m/one") == b"first"
    place.write("m/one", b"third")
    assert place.read("m/one") == b"third"


def test_on_a_full_disk_every_try_leaves_as_much_as_there_was(tmp_path: Path) -> None:
    """A disk that is full after so many bytes: of one file, which is what can be limited."""
    script = """
import resource, sys
from pathlib import Path
from trackstream.archive.place import Directory

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
place = Directory(Path(sys.argv[1]))
for step in (place.write, place.create, place.write):
    try:
        step("app=a/day=2025-07-10/t-00001-0-1.parquet", b"x" * 5000)
    except OSError as error:
        print(error.errno)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert len(done.stdout.split()) == 3, done
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_that_cannot_be_renamed_is_removed(tmp_path: Path) -> None:
    place = Directory(tmp_path)
    (tmp_path / "m" / "taken").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        place.write("m/taken", b"x")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
