"""One file in MaxMind's format: checked when it is opened, and taken up anew when it changes."""

from __future__ import annotations

import ipaddress
import logging
import shutil
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import maxminddb

from trackstream.storage.errors import LookupDatabaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["POLL_S", "GeoDatabase", "Kind"]

_log = logging.getLogger(__name__)

POLL_S = 5.0
"""How often a file is looked at, when anything is looked up at all.

A change is taken up when it is seen for the second time: by then the file has been written."""

_WALKED_NODES = 50_000
"""The largest search tree that is walked as a whole; of larger ones a sample is looked up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """What a database is for.

    Attributes:
        setting: The variable that names the file, for messages.
        name: As it is called in a sentence: "a city database".
        types: One of these is in its `database_type`, in lower case.
    """

    setting: str
    name: str
    types: tuple[str, ...]


class _Version(NamedTuple):
    mtime_ns: int
    size_bytes: int
    inode: int


class GeoDatabase:
    """A database that is in use from here on, until its file is replaced by another good one.

    What is mapped into memory is a copy without a name: a file that is overwritten where it is
    (`cp`, not `mv`) would else change, or end, under the reader.

    Args:
        path: The file.
        kind: What it must be.
        read: What is made of a record; it may raise anything for one that is broken.
        watched: Whether the file is looked at again, and copied.
        clock: Seconds that only grow.

    Raises:
        LookupDatabaseError: The file is not there, or it cannot be used.
    """

    def __init__(
        self,
        path: Path,
        kind: Kind,
        read: Callable[[Any], object],
        *,
        watched: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._kind = kind
        self._read = read
        self._watched = watched
        self._clock = clock
        self._looked_at_s = clock()
        self._judged = self._changing = self._version()
        self._reader: Any = self._open()
        self._reported = False

    def refreshed(self) -> bool:
        """Look at the file if it is time to; True if another is in use from now on.

        One that cannot be used, or is gone, is told once, and the one in use stays.
        """
        now_s = self._clock()
        if not self._watched or now_s - self._looked_at_s < POLL_S:
            return False
        self._looked_at_s = now_s
        version = self._version()
        settled = version == self._changing
        self._changing = version
        if version == self._judged or not settled:
            return False
        self._judged = version
        try:
            reader = self._open()
        except LookupDatabaseError as error:
            _log.error("%s; the one that was read before stays in use", error)
            return False
        self._reader = reader  # the old one is unmapped when nobody reads it any more
        self._reported = False
        _log.info("%s: %s has changed, and is in use", self._kind.setting, self._path)
        return True

    def get(self, address: str) -> Any:
        """What is made of the address's record; None for one that is broken."""
        try:
            return self._read(self._reader.get(address))
        except Exception as error:  # noqa: BLE001 - readers raise many kinds on broken files
            if not self._reported:
                self._reported = True
                _log.error(
                    "%s: %s is broken, and what it tells will be missing: %r",
                    self._kind.setting,
                    self._path,
                    error,
                )
            return None

    def _version(self) -> _Version | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return _Version(found.st_mtime_ns, found.st_size, found.st_ino)

    def _open(self) -> Any:
        path, setting = self._path, self._kind.setting
        try:
            return self._checked(self._mapped())
        except LookupDatabaseError:
            raise
        except OSError as error:
            raise LookupDatabaseError(
                f"{setting}: cannot read {path}: {error.strerror or error}"
            ) from error
        except Exception as error:
            raise LookupDatabaseError(
                f"{setting}: {path} is not a usable database: {error}"
            ) from error

    def _mapped(self) -> Any:
        # Auto: the C extension where it is built, else Python; both map the file.
        if not self._watched:
            return maxminddb.open_database(str(self._path), maxminddb.MODE_AUTO)
        with self._path.open("rb") as source, tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            return maxminddb.open_database(f"/proc/self/fd/{copy.fileno()}", maxminddb.MODE_AUTO)

    def _checked(self, reader: Any) -> Any:
        problem = self._problem(reader)
        if problem:
            reader.close()
            raise LookupDatabaseError(
                f"{self._kind.setting}: {self._path} is not a usable database: {problem}"
            )
        return reader

    def _problem(self, reader: Any) -> str | None:
        """What is against a database: its type, its size, a record that cannot be read."""
        metadata = reader.metadata()
        tree_bytes = metadata.node_count * metadata.record_size // 4
        if tree_bytes >= self._path.stat().st_size:
            return "its search tree is larger than the file (cut short, or corrupt)"
        if not any(one in metadata.database_type.lower() for one in self._kind.types):
            return f"its type is {metadata.database_type!r}, {self._kind.name} is needed"
        whole = metadata.node_count <= _WALKED_NODES
        addresses = _all(self._path, metadata) if whole else _sample()
        for address in addresses:
            try:
                self._read(reader.get(address))
            except Exception as error:  # noqa: BLE001 - as in a lookup
                return f"the record of {address}: {error!r}"
        return None


def _sample() -> Iterator[str]:
    return (f"{first}.{first}.2.1" for first in range(1, 224, 3))


def _all(path: Path, metadata: Any) -> Iterator[str]:
    """An address of every different record of a search tree.

    Source: MaxMind DB File Format Specification 2.0, "Binary Search Tree Section".
    """
    bits, count = metadata.record_size, metadata.node_count
    tree = path.read_bytes()[: count * bits // 4]
    width = 32 if metadata.ip_version == 4 else 128
    seen: set[int] = set()
    steps = [(0, 0, 0)]
    while steps:
        node, prefix, depth = steps.pop()
        if node == count or node in seen:
            continue
        seen.add(node)
        if node > count:
            yield str(_address(prefix << (width - depth), width))
        elif depth < width:
            at = node * bits // 4
            left, right = _children(tree[at : at + bits // 4], bits)
            steps += [(left, prefix << 1, depth + 1), (right, prefix << 1 | 1, depth + 1)]


def _children(node: bytes, bits: int) -> tuple[int, int]:
    if bits == 28:  # the byte in the middle has the highest four bits of both
        middle = node[3]
        return (middle >> 4) << 24 | int.from_bytes(node[:3]), (middle & 15) << 24 | int.from_bytes(
            node[4:]
        )
    half = bits // 8
    return int.from_bytes(node[:half]), int.from_bytes(node[half:])


def _address(number: int, width: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if width == 32 or number < 1 << 32:
        return ipaddress.IPv4Address(number)
    return ipaddress.IPv6Address(number)
