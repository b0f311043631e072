"""What a spool tells of itself, and how it refuses."""

from __future__ import annotations

from dataclasses import dataclass

from trackstream.ports import Unwritten

__all__ = ["SpoolFullError", "SpoolState", "SpoolUnusableError"]


class SpoolFullError(Unwritten):
    """There is no room for this: nothing of it was kept."""


class SpoolUnusableError(Unwritten):
    """The disk does not take it, or does not give it back: full, read-only, broken."""


@dataclass(slots=True)
class SpoolState:
    """Counts of one process since its start, left-behind files that it drains included."""

    messages: int = 0
    """In files now."""
    size_bytes: int = 0
    """Of these messages."""
    oldest_at_ms: int | None = None
    """When the oldest of them was accepted."""
    spooled: int = 0
    drained: int = 0
    expired: int = 0
    """Sent to `rejected` because they had waited for too long."""
    unwritable: int = 0
    """Sent to `rejected` because Kafka does not take them."""
    broken: int = 0
    """Sent to `rejected` because a damaged file says no longer what they were."""
    full: int = 0
    """Requests refused for want of room."""
    errors: int = 0
    """Times that the disk, or something unforeseen, failed."""
    salvaged: int = 0
    """Messages taken over from broken files."""
    lost: int = 0
    """Messages in broken files that cannot be read."""
    broken_files: int = 0
    """Of the folder, all processes' and earlier ones': until somebody deletes them."""
