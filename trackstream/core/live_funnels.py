"""An app's funnels as they count live, and which of their steps an event is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from trackstream.core.cells import mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trackstream.core.funnels import Filter, Funnel
    from trackstream.core.records import Event

__all__ = ["MOST_FUNNELS", "NO_FUNNELS", "LiveFunnel", "LiveFunnels", "NewHits"]

MOST_FUNNELS = 32
"""Of an app; those that its file has first."""

NewHits = dict[tuple[int, int], int]
"""By session (a hash; 0 where subjects are counted) and time: bits of the steps that match."""


class LiveFunnel(NamedTuple):
    """A funnel as it counts for an app."""

    funnel: Funnel
    since_ms: int
    """From when on it was defined so without a break; with its name, which definition it is."""


class _Match(NamedTuple):
    """A step that an event of some name may be of."""

    name: str
    bit: int
    where: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class LiveFunnels:
    """An app's funnels, by name and by the events of their steps."""

    by_name: Mapping[str, LiveFunnel]
    by_event: Mapping[str, tuple[_Match, ...]]

    @classmethod
    def of(cls, funnels: Iterable[LiveFunnel]) -> LiveFunnels:
        """The first `MOST_FUNNELS` of these."""
        by_name: dict[str, LiveFunnel] = {}
        by_event: dict[str, tuple[_Match, ...]] = {}
        for one in list(funnels)[:MOST_FUNNELS]:
            name = one.funnel.name
            by_name[name] = one
            for number, step in enumerate(one.funnel.steps):
                match = _Match(name, 1 << number, step.where)
                for event in set(step.events):
                    by_event[event] = (*by_event.get(event, ()), match)
        return cls(by_name, by_event)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.by_name)

    def hits(self, events: Iterable[Event], *, oldest_ms: int) -> dict[str, NewHits]:
        """Of published events from `oldest_ms` on, which steps they are; by the funnel's name.

        Bots do not count.
        """
        hits: dict[str, NewHits] = {}
        for event in events:
            matches = self.by_event.get(event.event)
            if not matches or event.bot or event.timestamp_ms < oldest_ms:
                continue
            properties: dict[str, Any] | None = None
            session = 0
            for name, bit, where in matches:
                if where:
                    if properties is None:
                        properties = _properties(event)
                    if not all(one.accepts(properties) for one in where):
                        continue
                if self.by_name[name].funnel.by == "session":
                    session = session or mark(event.session_id)
                    place = (session, event.timestamp_ms)
                else:
                    place = (0, event.timestamp_ms)
                new = hits.setdefault(name, {})
                new[place] = new.get(place, 0) | bit
        return hits


NO_FUNNELS = LiveFunnels({}, {})


def _properties(event: Event) -> dict[str, Any]:
    try:
        return msgspec.json.decode(event.properties, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
