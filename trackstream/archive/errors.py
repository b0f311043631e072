"""What can go wrong with an archive, split by who must act."""

from __future__ import annotations

from trackstream.storage.errors import StorageError

__all__ = ["ArchiveMismatchError"]


class ArchiveMismatchError(StorageError):
    """The archive is not of the topic that is there: the operator must give another."""
