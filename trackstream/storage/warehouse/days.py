"""The partitions of `fact_events`, one a day of event time, made when a day is first needed."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

__all__ = ["LOCK_KEY", "Days"]

_EPOCH = date(1970, 1, 1)
LOCK_KEY = 0x7472_6163_6B02
"""Advisory lock under which partitions come and go."""


class Days:
    """Makes partitions, and remembers which there are."""

    def __init__(self) -> None:
        self._there: set[int] = set()

    def ensure(self, connection: Connection, days: Iterable[int]) -> None:
        """Have a partition for each of these days since 1970; in transactions of its own.

        A table is made beside and then attached, which does not keep others from writing;
        `CREATE TABLE … PARTITION OF` would.
        """
        for day in sorted(set(days) - self._there):
            first = _EPOCH + timedelta(days=day)
            name = f"fact_events_{first.year:04}{first:%m%d}"
            with connection, connection.cursor() as cursor:
                # One maker at a time; the second finds the first's.
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
                cursor.execute("SELECT to_regclass(%s)", (name,))
                if cursor.fetchone() == (None,):
                    cursor.execute(f"CREATE TABLE {name} (LIKE fact_events INCLUDING ALL)")
                    cursor.execute(
                        f"ALTER TABLE fact_events ATTACH PARTITION {name} "
                        "FOR VALUES FROM (DATE '1970-01-01' + %s) TO (DATE '1970-01-01' + %s)",
                        (day, day + 1),
                    )
            self._there.add(day)

    def forget(self) -> None:
        """Look again: partitions may have been dropped meanwhile."""
        self._there.clear()
