"""What all records have in common."""

from __future__ import annotations

import msgspec

__all__ = ["Record"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything on a topic: immutable, keyword-only."""
