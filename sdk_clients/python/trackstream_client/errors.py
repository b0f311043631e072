"""What a caller is told at once. What the collector says comes later, as a `Verdict`."""

from __future__ import annotations

__all__ = [
    "ClientClosedError",
    "EventTooLargeError",
    "QueueFullError",
    "QueueInUseError",
    "TrackStreamClientError",
]


class TrackStreamClientError(Exception):
    """An event was not queued, or a client not made; nothing was sent of it."""


class QueueFullError(TrackStreamClientError):
    """The queue is full: the collector has not answered for long, or takes less than is tracked."""


class EventTooLargeError(TrackStreamClientError):
    """The event alone is larger than a request may be."""


class ClientClosedError(TrackStreamClientError):
    """The client was closed, or this process is a fork of the one that opened its queue file."""


class QueueInUseError(TrackStreamClientError):
    """Another client has the queue file open."""
