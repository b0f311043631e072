"""Where the archive is: files that are whole or not there, in a directory or by fsspec."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import fsspec

from trackstream.storage.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Directory", "Place", "Remote", "open_place", "owner_of"]

_TEMPORARY = "_temporary"


class Place(Protocol):
    """A tree of files. Paths are relative, with `/`. What is written is durable when it returns.

    Every method may raise OSError, and whatever else a store's client raises.
    """

    def write(self, path: str, content: bytes) -> None:
        """Write a whole file, in the place of one that may be there."""

    def create(self, path: str, content: bytes) -> bool:
        """Write a file that is not there yet; False if it is, which leaves it as it is."""

    def read(self, path: str) -> bytes:
        """A file's content; FileNotFoundError if there is none."""

    def names(self, folder: str) -> list[str]:
        """Names of what is in a folder, in order; none if there is no such folder."""

    def files(self) -> list[str]:
        """Paths of all files, in order, but those that are being written."""

    def clear(self, owner: str) -> None:
        """Remove what a process that was killed has left half-written for this owner."""


class Directory:
    """A directory of this machine. A file is written under another name, synced, and renamed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, path: str, content: bytes) -> None:
        """See `Place`."""
        target = self._root / path
        with self._draft(path, content) as draft:
            draft.rename(target)
        _sync(target.parent)

    def create(self, path: str, content: bytes) -> bool:
        """See `Place`. A link, unlike a renaming, fails where there is a file."""
        target = self._root / path
        with self._draft(path, content) as draft:
            try:
                os.link(draft, target)
            except FileExistsError:
                return False
        _sync(target.parent)
        return True

    def read(self, path: str) -> bytes:
        """See `Place`."""
        return (self._root / path).read_bytes()

    def names(self, folder: str) -> list[str]:
        """See `Place`."""
        try:
            return sorted(one.name for one in (self._root / folder).iterdir())
        except FileNotFoundError:
            return []

    def files(self) -> list[str]:
        """See `Place`."""
        found = (one.relative_to(self._root) for one in self._root.rglob("*") if one.is_file())
        return sorted(str(one) for one in found if one.parts[0] != _TEMPORARY)

    def clear(self, owner: str) -> None:
        """See `Place`. One that still writes there finds its file gone, and stops."""
        folder = self._root / _TEMPORARY / owner
        for name in self.names(f"{_TEMPORARY}/{owner}"):
            (folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()

    @contextmanager
    def _draft(self, path: str, content: bytes) -> Iterator[Path]:
        """The content under another name, durable. Whatever fails, none of it is left.

        Whoever tries again on a full disk would else fill it further with each try.
        """
        folder = self._root / _TEMPORARY / owner_of(path)
        _make(folder)
        _make((self._root / path).parent)
        draft = folder / uuid4().hex
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield draft
        finally:
            draft.unlink(missing_ok=True)


class Remote:
    """Whatever fsspec writes to. Object stores show an object when all of it has arrived.

    `create` is one step where the store's client has a conditional write, else two; then two
    processes that believe at the same time that a partition is theirs are not told apart.
    """

    def __init__(self, files: Any, root: str) -> None:
        self._files = files
        self._root = root.rstrip("/")

    def write(self, path: str, content: bytes) -> None:
        """See `Place`."""
        target = self._made(path)
        self._files.pipe_file(target, content)

    def create(self, path: str, content: bytes) -> bool:
        """See `Place`."""
        target = self._made(path)
        self._files.invalidate_cache()
        # Some clients take the mode, and write all the same.
        if self._files.exists(target):
            return False
        try:
            self._files.pipe_file(target, content, mode="create")
        except FileExistsError:
            return False
        return True

    def read(self, path: str) -> bytes:
        """See `Place`."""
        content: bytes = self._files.cat_file(f"{self._root}/{path}")
        return content

    def names(self, folder: str) -> list[str]:
        """See `Place`."""
        self._files.invalidate_cache()
        try:
            found = self._files.ls(f"{self._root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(one).rstrip("/").rpartition("/")[2] for one in found)

    def files(self) -> list[str]:
        """See `Place`."""
        self._files.invalidate_cache()
        return sorted(
            str(one).lstrip("/").removeprefix(self._root.lstrip("/")).lstrip("/")
            for one in self._files.find(self._root)
        )

    def clear(self, owner: str) -> None:
        """See `Place`. Nothing is left: what has not arrived as a whole is not there."""

    def _made(self, path: str) -> str:
        target = f"{self._root}/{path}"
        # For file systems that have directories (SFTP, HDFS); object stores do nothing.
        self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
        return target


def open_place(url: str) -> Place:
    """The place of a path or a URL such as `s3://bucket/events`.

    Raises:
        InvalidValueError: There is no such file system, or its package is not installed.
    """
    try:
        files, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InvalidValueError(f"TRACKSTREAM_ARCHIVE_URL is {url!r}: {error}") from error
    if "file" in files.protocol:
        return Directory(Path(root))
    return Remote(files, root)


def owner_of(path: str) -> str:
    """For whom a file is written, by its name or its folder: `topic-partition`."""
    folder, _, name = path.rpartition("/")
    if name.endswith(".parquet"):
        return name.rsplit("-", 2)[0]
    return folder.rpartition("/")[2]


def _make(folder: Path) -> None:
    """Make a directory so that it, and those above that are made, too, survive a power cut."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
