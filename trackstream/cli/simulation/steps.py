"""What somebody can do, and what is to come of it: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Expected", "Journey", "Post", "Step", "Visit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request for a tracking link, or for the pixel of an impression."""

    kind: str
    """`click` or `impression`."""
    campaign: int
    """Which of the run's campaigns."""
    address: str
    """Where it comes from: an address of the loopback network."""
    user_agent: str
    query: dict[str, str] = field(default_factory=dict)
    bot: bool = False
    """A crawler's, which is not kept."""
    age_ms: int = 0
    """How long ago it was; what is not now cannot go over HTTP and is written to the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """An event, posted."""

    event: dict[str, Any]
    """All but its timestamp, which is now less `age_ms`."""
    path: str = "/v1/event"
    brings: str | None = None
    """What it hands on from the click before it: Play's `referrer`, or the `page` it led to."""
    times: int = 1
    age_ms: int = 0


Step = Visit | Post


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is true of one conversion."""

    event_id: str
    method: str
    campaign: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One person's steps in order, and what is true of the conversions among them."""

    kind: str
    steps: tuple[Step, ...]
    expected: tuple[Expected, ...]
