"""The partitions of `fact_events`, made when a day of event time is first needed."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from trackstream.storage.warehouse.periods import coarse, of_day, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

__all__ = ["LOCK_KEY", "MANY", "Days", "partitions", "today_utc"]

_log = logging.getLogger(__name__)

LOCK_KEY = 0x7472_6163_6B02
"""Advisory lock under which partitions come and go."""

MANY = 2000
"""Partitions from which on old ones are to be merged. PostgreSQL, as it comes, has room to lock
between 4,000 and 5,500 of them for a query that reads all events."""


def today_utc() -> date:
    """The day that it is."""
    return datetime.now(UTC).date()


def partitions(cursor: Any) -> set[str]:
    """The names of the partitions that there are."""
    cursor.execute(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = 'fact_events'::regclass"
    )
    return {name for (name,) in cursor.fetchall()}


class Days:
    """Makes partitions, and remembers which there are.

    Args:
        today: Tells the day that it is, in UTC.
    """

    def __init__(self, today: Callable[[], date] = today_utc) -> None:
        self._there: set[str] = set()
        self._today = today

    def ensure(self, connection: Connection, days: Iterable[int]) -> None:
        """Have a partition for each of these days since 1970; in transactions of its own.

        A table is made beside and then attached, which does not keep others from writing;
        `CREATE TABLE … PARTITION OF` would.
        """
        for day in sorted(days):
            if self._there.isdisjoint((of_day(day).name, coarse(day).name)):
                self._make(connection, day)

    def _make(self, connection: Connection, day: int) -> None:
        with connection, connection.cursor() as cursor:
            # One maker at a time; the second finds the first's.
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
            there = partitions(cursor)
            period = wanted(day, there, self._today())
            if period.name not in there:
                cursor.execute(f"CREATE TABLE {period.name} (LIKE fact_events INCLUDING ALL)")
                cursor.execute(
                    f"ALTER TABLE fact_events ATTACH PARTITION {period.name} "
                    f"FOR VALUES {period.bounds}"
                )
                if len(there) >= MANY:
                    _log.warning(
                        "fact_events has %d partitions: trackstream retention run merges old ones",
                        len(there) + 1,
                    )
        self._there = there | {period.name}

    def forget(self) -> None:
        """Look again: partitions may have been dropped meanwhile."""
        self._there.clear()
