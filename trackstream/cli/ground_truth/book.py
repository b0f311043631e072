"""What reaches the service, and what is true of it: known because it was made up so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackstream.core.records import Envelope, Touch

__all__ = ["Book", "Converted", "Sent", "Truth"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message from outside."""

    arrives_ms: int
    topic: str
    """`raw` or `identity`."""
    key: str
    record: Envelope | Touch


@dataclass(frozen=True, slots=True)
class Truth:
    """What has to come out of a conversion, without any doubt."""

    method: str
    touch_id: str | None


@dataclass(frozen=True, slots=True)
class Converted:
    """A conversion, and whose it is."""

    journey: str
    person: str


@dataclass(slots=True)
class Book:
    """All journeys of a run. Conversions are named by their ids, touches by theirs."""

    sent: list[Sent] = field(default_factory=list)
    converted: dict[str, Converted] = field(default_factory=dict)
    truths: dict[str, Truth] = field(default_factory=dict)
    """Of the conversions where one device, person or click id leads to the answer."""
    by_network: dict[str, str] = field(default_factory=dict)
    """Conversions that a touch has brought which only the network may tell: that touch."""
    owners: dict[str, str] = field(default_factory=dict)
    """Who made each touch; one that is not in here was made by a fraud."""
    frauds: dict[tuple[str, str], str] = field(default_factory=dict)
    """(conversion, touch) where crediting the touch would be fraud: the rule that is to see it."""
    edges: set[str] = field(default_factory=set)
    """Kinds of journeys that are legitimate and look odd."""
