"""What can go wrong with storage, split by who must act."""

from __future__ import annotations

__all__ = [
    "AlreadyExistsError",
    "InvalidValueError",
    "LookupDatabaseError",
    "MasterKeyError",
    "NotFoundError",
    "RowsRefusedError",
    "StorageError",
    "StorageUnavailableError",
    "TopicMismatchError",
    "WriterFencedError",
]


class StorageError(Exception):
    """Base of all; the message says what to do."""


class NotFoundError(StorageError):
    """The caller named something that is not there."""


class AlreadyExistsError(StorageError):
    """The caller wants to create what exists."""


class InvalidValueError(StorageError):
    """The caller gave a value that is refused; the message names it."""


class StorageUnavailableError(StorageError):
    """A server does not answer: try again later; nothing was changed, or not knowingly."""


class LookupDatabaseError(StorageError):
    """A lookup file cannot be used: the operator must give another."""


class MasterKeyError(StorageError):
    """The master key is malformed, or not the one with which a secret was sealed."""


class TopicMismatchError(StorageError):
    """A topic exists otherwise than the settings say: the operator must change one of them."""


class RowsRefusedError(StorageError):
    """PostgreSQL refuses a value in the batch, and would so at every try."""


class WriterFencedError(StorageError):
    """Another process writes this partition now: what was read for it is read again by that one."""
