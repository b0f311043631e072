"""Journeys by channel, counted: what the data-driven models learn from."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trackstream.core.models import PathCount

__all__ = ["Paths", "Totals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What paths are, all together."""

    paths: int
    """Different ones."""
    conversions: int
    value_micros: int
    nulls: int
    """Journeys that ended without a conversion."""


class Paths:
    """Different paths, each with how often it was gone and how it ended.

    Touches are numbers of channels, all in one row, so that millions of them are cheap and numpy
    reads them in place. The order of channels is that of their names, and does not depend on the
    order in which paths came.
    """

    def __init__(self, counts: Iterable[PathCount]) -> None:
        """Count the paths, the same ones together; those that nobody went are left out.

        Args:
            counts: paths of at least one channel; no number is negative.
        """
        numbers: dict[str, int] = {}
        index: dict[tuple[str, ...], int] = {}
        codes: list[int] = []
        self.ends = array("q")
        """The end of each path in `codes`; it begins where the one before ends."""
        self.conversions = array("q")
        self.nulls = array("q")
        self.values_micros: list[int] = []
        for channels, conversions, value_micros, nulls in counts:
            if not conversions and not nulls:
                continue
            at = index.setdefault(channels, len(index))
            if at == len(self.ends):
                codes.extend([numbers.setdefault(one, len(numbers)) for one in channels])
                self.ends.append(len(codes))
                self.conversions.append(0)
                self.nulls.append(0)
                self.values_micros.append(0)
            self.conversions[at] += conversions
            self.nulls[at] += nulls
            self.values_micros[at] += value_micros
        self.channels = sorted(numbers)
        rank = {channel: i for i, channel in enumerate(self.channels)}
        ranks = [rank[channel] for channel in numbers]
        self.codes = array("i", [ranks[code] for code in codes])

    @property
    def totals(self) -> Totals:
        """All of them together."""
        return Totals(
            paths=len(self),
            conversions=sum(self.conversions),
            value_micros=sum(self.values_micros),
            nulls=sum(self.nulls),
        )

    def __len__(self) -> int:
        return len(self.ends)

    def each(self) -> Iterator[tuple[array[int], int, int]]:
        """(channels' numbers, conversions, value in millionths) of every path."""
        begin = 0
        for end, conversions, value in zip(
            self.ends, self.conversions, self.values_micros, strict=True
        ):
            yield self.codes[begin:end], conversions, value
            begin = end
