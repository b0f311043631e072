"""Funnels: how far people come along ordered steps within a time limit. The reference of the SQL.

An entry is an event of the first step. From an entry on, each next step is the first event that
matches it, strictly later than the one before and no later than the limit after the entry; what
happens between does not matter. Each person (or session) counts once: by the entry that comes
furthest, of several such by the earliest.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "Chain",
    "Filter",
    "Funnel",
    "Happened",
    "Progress",
    "Scalar",
    "Step",
    "StepFigures",
    "advance",
    "figures",
    "furthest",
    "shares",
]

Scalar = str | bool | int | float


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a property has to be; one that is missing, or of another type, is not."""

    name: str
    any_of: tuple[Scalar, ...] | None = None
    min: float | None = None
    """The least number, included."""
    max: float | None = None
    """The greatest number, included."""

    def accepts(self, properties: Mapping[str, Any]) -> bool:
        """Whether the properties have it so."""
        value = properties.get(self.name)
        if self.any_of is not None and not any(_equal(value, one) for one in self.any_of):
            return False
        if self.min is None and self.max is None:
            return True
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step: an event of one of these names whose properties all filters accept."""

    events: tuple[str, ...]
    where: tuple[Filter, ...] = ()

    def matches(self, event: Happened) -> bool:
        """Whether the event is one of this step."""
        return event.event in self.events and all(
            one.accepts(event.properties) for one in self.where
        )


class Funnel(msgspec.Struct, frozen=True, kw_only=True):
    """Ordered steps under a name."""

    name: str
    by: Literal["person", "session"] = "person"
    within_ms: int
    """From the entry to the last step, included."""
    steps: tuple[Step, ...]


class Happened(NamedTuple):
    """An event, as far as funnels look at it."""

    at_ms: int
    event: str
    properties: Mapping[str, Any]


Chain = tuple[int, ...]
"""The moments of the steps that one entry has come to, epoch milliseconds."""

Progress = tuple[Chain, ...]
"""All entries of one person; `()` before the first."""


class StepFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How many came to a step."""

    count: int
    of_previous: float | None
    """Their share of those who came to the step before; None: nobody did, or there is none."""
    of_first: float | None
    median_ms: float | None
    """Median time from the step before."""


def advance(
    progress: Progress, funnel: Funnel, event: Happened, *, begin_ms: int, end_ms: int
) -> Progress:
    """The progress after the event.

    Args:
        progress: After all events of this person (or session) before it, by time; the order of
            those at the same millisecond makes no difference.
        funnel: What is looked for.
        event: The next one.
        begin_ms: Entries count from then on.
        end_ms: Entries count until before then; later steps may come after it.
    """
    at_ms = event.at_ms
    chains = tuple(
        (*chain, at_ms)
        if len(chain) < len(funnel.steps)
        and chain[-1] < at_ms <= chain[0] + funnel.within_ms
        and funnel.steps[len(chain)].matches(event)
        else chain
        for chain in progress
    )
    enters = begin_ms <= at_ms < end_ms and funnel.steps[0].matches(event)
    if enters and all(chain[0] != at_ms for chain in chains):
        chains = (*chains, (at_ms,))
    return chains


def furthest(progress: Progress) -> Chain:
    """The entry that counts; `()`: there is none."""
    return max(progress, key=lambda chain: (len(chain), -chain[0]), default=())


def figures(funnel: Funnel, chains: Iterable[Chain]) -> list[StepFigures]:
    """A row for each step, from what counts of each person."""
    known = list(chains)
    counts = [sum(len(chain) > n for chain in known) for n in range(len(funnel.steps))]
    took_ms = [
        [chain[n] - chain[n - 1] for chain in known if 0 < n < len(chain)]
        for n in range(len(funnel.steps))
    ]
    return shares(counts, [float(median(took)) if took else None for took in took_ms])


def shares(counts: Sequence[int], medians_ms: Iterable[float | None]) -> list[StepFigures]:
    """A row for each step, from how many came to it and the median time that they took."""
    return [
        StepFigures(
            count=count,
            of_previous=_share(count, counts[n - 1]) if n else None,
            of_first=_share(count, counts[0]),
            median_ms=took_ms,
        )
        for n, (count, took_ms) in enumerate(zip(counts, medians_ms, strict=True))
    ]


def _share(count: int, of: int) -> float | None:
    return count / of if of else None


def _equal(value: Any, wanted: Scalar) -> bool:
    # In JSON true is not 1.
    return isinstance(value, bool) is isinstance(wanted, bool) and value == wanted
