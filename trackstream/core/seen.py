"""A new event of a subject, as it came and as it goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from trackstream.core.cells import Moment
    from trackstream.core.records import Event, RawEvent

__all__ = ["Seen"]


class Seen(NamedTuple):
    """A new event, as it came and as it goes out."""

    raw: RawEvent
    at: Moment
    """By the device's clock."""
    event: Event
    client_id: str | None
    """The client's session id, where it is honoured."""
