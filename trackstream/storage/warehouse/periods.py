"""How `fact_events` is cut: into days near today, and into years and two rests far from it.

PostgreSQL locks every partition that a query may read, and has room for some thousands. A day each
is what is written and removed quickly; a day each of twenty-five imported years would be too many.
So days of their own have this year, the next, and three before. What is older or later is in a
partition a year, what is before 1970 or after 2199 in one each: at most some 2,100 in all.

A year stays as it was cut: one that had days of its own when it was new has them, until they are
merged (`merging`); and one that has a partition already gets no days.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EPOCH", "Period", "coarse", "day_of_name", "is_daily", "of_day", "wanted"]

EPOCH = date(1970, 1, 1)
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_DAILY_YEARS_BEFORE, _DAILY_YEARS_AFTER = 3, 1
_DAY_NAME = re.compile(r"fact_events_(\d{4})(\d\d)(\d\d)")


class Period(NamedTuple):
    """A partition.

    Attributes:
        name: Of the table.
        begin: The first of its days, since 1970; None: whatever is before `end`.
        end: The day after its last; None: whatever is from `begin` on.
    """

    name: str
    begin: int | None
    end: int | None

    @property
    def bounds(self) -> str:
        """As in `FOR VALUES`."""
        return f"FROM ({_bound(self.begin, 'MINVALUE')}) TO ({_bound(self.end, 'MAXVALUE')})"

    @property
    def check(self) -> str:
        """The condition that its rows fulfil, from which PostgreSQL concludes the bounds."""
        begin = "" if self.begin is None else f" AND event_day >= {_bound(self.begin, '')}"
        end = "" if self.end is None else f" AND event_day < {_bound(self.end, '')}"
        return f"event_day IS NOT NULL{begin}{end}"


def _bound(day: int | None, otherwise: str) -> str:
    return otherwise if day is None else f"DATE '{EPOCH + timedelta(days=day)}'"


def of_day(day: int) -> Period:
    """A day by itself; days since 1970, of the years 1 to 9999."""
    its = EPOCH + timedelta(days=day)
    return Period(f"fact_events_{its.year:04}{its:%m%d}", day, day + 1)


def coarse(day: int) -> Period:
    """The year of a day, or the rest in which it is."""
    year = (EPOCH + timedelta(days=day)).year
    if year < _FIRST_YEAR:
        return Period(f"fact_events_before_{_FIRST_YEAR}", None, 0)
    if year > _LAST_YEAR:
        return Period(f"fact_events_after_{_LAST_YEAR}", _first_of(_LAST_YEAR + 1), None)
    return Period(f"fact_events_{year}", _first_of(year), _first_of(year + 1))


def _first_of(year: int) -> int:
    return (date(year, 1, 1) - EPOCH).days


def is_daily(day: int, today: date) -> bool:
    """Whether days of its year have partitions of their own."""
    year = (EPOCH + timedelta(days=day)).year
    return today.year - _DAILY_YEARS_BEFORE <= year <= today.year + _DAILY_YEARS_AFTER


def day_of_name(name: str) -> int | None:
    """The day whose partition is called so; None: it is not one of a day."""
    found = _DAY_NAME.fullmatch(name)
    return (date(*map(int, found.groups())) - EPOCH).days if found else None


def wanted(day: int, there: Iterable[str], today: date) -> Period:
    """The partition that a day is in, or is to be in if it is not there.

    Args:
        day: Since 1970, of the years 1 to 9999.
        there: The names of the partitions that there are.
        today: In UTC.
    """
    alone, year = of_day(day), coarse(day)
    names = set(there)
    if year.name in names:
        return year
    if alone.name in names or is_daily(day, today):
        return alone
    days = map(day_of_name, names)
    cut_already = any(one is not None and coarse(one) == year for one in days)
    return alone if cut_already else year
