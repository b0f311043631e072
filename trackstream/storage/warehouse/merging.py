"""Days of `fact_events` that are merged into their years, while there are too many partitions.

Oldest first, each year in a transaction of its own. Who reads goes on reading until the end, when
all of `fact_events` is locked for a moment; who writes to one of these days waits.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from psycopg2 import errors

from trackstream.storage.schema import fact_events
from trackstream.storage.warehouse import days as limits
from trackstream.storage.warehouse.days import LOCK_KEY
from trackstream.storage.warehouse.periods import coarse, day_of_name, is_daily, of_day

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from trackstream.storage.warehouse.periods import Period

__all__ = ["candidates", "merge"]

_TRIES = 10
_PAUSE_S = 0.25
_COLUMNS = ", ".join(column.name for column in fact_events.columns)


def candidates(there: Iterable[str], today: date) -> list[tuple[Period, list[str]]]:
    """Which days are to be merged into what, oldest first; none while partitions are not many.

    Args:
        there: The names of the partitions that there are.
        today: In UTC; years that have days of their own now are left.
    """
    names = set(there)
    by_period: defaultdict[Period, list[int]] = defaultdict(list)
    for name in names:
        day = day_of_name(name)
        if day is not None and not is_daily(day, today):
            by_period[coarse(day)].append(day)
    left = len(names)
    found = []
    for period, days in sorted(by_period.items(), key=lambda one: min(one[1])):
        if left <= limits.MANY:
            break
        left -= len(days) - 1
        found.append((period, [of_day(day).name for day in sorted(days)]))
    return found


def merge(cursor: Any, period: Period, days: list[str]) -> int | None:
    """Have these days in one partition; how many rows it has. For a cursor in autocommit.

    Returns:
        None: a lock was not to be had, or not so many, or a day has come or gone meanwhile.
        Nothing was changed.
    """
    cursor.execute("BEGIN")
    try:
        rows = _copy(cursor, period, days)
        _lock_all(cursor)
        cursor.execute(f"DROP TABLE {', '.join(days)}")
        cursor.execute(
            f"ALTER TABLE fact_events ATTACH PARTITION {period.name} FOR VALUES {period.bounds}"
        )
        cursor.execute(f"ALTER TABLE {period.name} DROP CONSTRAINT merged")
        cursor.execute("COMMIT")
    except (
        errors.LockNotAvailable,
        errors.DeadlockDetected,
        errors.OutOfMemory,
        errors.UndefinedTable,
        errors.DuplicateTable,
        errors.InvalidObjectDefinition,  # it would overlap with a day that was made meanwhile
    ):
        cursor.execute("ROLLBACK")
        return None
    return rows


def _lock_all(cursor: Any) -> None:
    """Lock the table as a whole, in several tries: what was copied is not to be copied again.

    Not before all is copied: today's partition may have to be made meanwhile.
    """
    for left in reversed(range(_TRIES)):
        cursor.execute("SAVEPOINT copied")
        try:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
            cursor.execute("LOCK TABLE fact_events IN ACCESS EXCLUSIVE MODE")
        except errors.LockNotAvailable:
            if not left:
                raise
            cursor.execute("ROLLBACK TO SAVEPOINT copied")
            time.sleep(_PAUSE_S)
        else:
            return


def _copy(cursor: Any, period: Period, days: list[str]) -> int:
    cursor.execute(f"CREATE TABLE {period.name} (LIKE fact_events INCLUDING ALL)")
    rows = 0
    for day in days:
        cursor.execute(f"LOCK TABLE {day} IN SHARE MODE")
        cursor.execute(
            f"INSERT INTO {period.name} ({_COLUMNS}) SELECT {_COLUMNS} FROM {day}"  # noqa: S608 - ours
        )
        rows += int(cursor.rowcount)
    # Before all is locked: with it, attaching need not look at every row.
    cursor.execute(f"ALTER TABLE {period.name} ADD CONSTRAINT merged CHECK ({period.check})")
    return rows
