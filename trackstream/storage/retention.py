"""What is kept for too long goes: days of events, and old rows. Counts from arrival. Calls block.

Safe beside writers: every lock is waited for briefly and asked for again, and whether a day may go
is looked at while nobody can write to it. A writer that comes too late makes the day again.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg2
from psycopg2 import errors

from trackstream.storage.database import connect
from trackstream.storage.errors import StorageError, StorageUnavailableError
from trackstream.storage.warehouse.days import LOCK_KEY, partitions, today_utc
from trackstream.storage.warehouse.merging import candidates, merge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from trackstream.settings import Settings

__all__ = ["KINDS", "Removed", "days_kept", "run"]

# Below PostgreSQL's deadlock_timeout of 1 s: it is we who give way, never a writer.
_LOCK_TIMEOUT_MS = 500
_TRIES = 20
_PAUSE_S = 0.25
_MERGE_TRIES = 2
_CHUNK_ROWS = 10_000

_TABLES: dict[str, tuple[tuple[str, str], ...]] = {
    "events": (("fact_events", "received_at"),),
    "sessions": (("fact_sessions", "written_at"),),
    "attributions": (("attribution_credits", ""), ("attributions", "decided_at")),
    "revisions": (("attribution_revisions", "decided_at"),),
    "rejected": (("rejected", "received_at"),),
}
KINDS = tuple(_TABLES)
"""What has a retention of its own, in the order in which it is looked at."""

# A credit arrives with its decision.
_OLD_CREDITS = (
    "EXISTS (SELECT 1 FROM attributions AS of WHERE of.app_id = t.app_id "
    "AND of.conversion_id = t.conversion_id AND of.decided_at < %(before)s)"
)


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What went of one table or one partition of events."""

    kind: str
    table: str
    """The partition, where it is one of `fact_events`."""
    rows: int
    action: str
    """`dropped`: the whole partition; `deleted`: rows; `merged`: nothing went, days are one
    partition now; `busy`: could not be locked, try later."""


def days_kept(settings: Settings) -> dict[str, int]:
    """By kind for how many days it is kept; 0: always."""
    return {kind: getattr(settings, f"retention_{kind}_days") for kind in KINDS}


def run(
    url: str, before: Mapping[str, datetime | None], *, dry_run: bool = False
) -> Iterator[Removed]:
    """Remove what arrived earlier; each is told after it has gone, in a transaction of its own.

    Afterwards, if `fact_events` has too many partitions, old days are merged into their years.

    Args:
        url: The database, migrated.
        before: By kind the moment; what arrived then or later stays. None or missing: all stays.
        dry_run: Only tell what would go.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer; what was told of before has gone.
    """
    try:
        with closing(connect(url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = {_LOCK_TIMEOUT_MS}")
                for kind in KINDS:
                    moment = before.get(kind)
                    if moment is not None:
                        yield from _of_kind(cursor, kind, moment, dry_run=dry_run)
                yield from _merged(cursor, dry_run=dry_run)
    except psycopg2.OperationalError as error:
        raise StorageUnavailableError(f"PostgreSQL: {_said(error)}") from error
    except psycopg2.Error as error:
        raise StorageError(f"PostgreSQL refuses to remove what is old: {_said(error)}") from error


def _of_kind(cursor: Any, kind: str, before: datetime, *, dry_run: bool) -> Iterator[Removed]:
    for table, column in _TABLES[kind]:
        if table == "fact_events":
            cursor.execute(
                "SELECT inhrelid::regclass::text FROM pg_inherits "
                "WHERE inhparent = 'fact_events'::regclass ORDER BY 1"
            )
            for (day,) in cursor.fetchall():
                yield from _of_day(cursor, day, before, dry_run=dry_run)
            continue
        old = f"t.{column} < %(before)s" if column else _OLD_CREDITS
        rows = _delete(cursor, table, old, before, dry_run=dry_run)
        if rows:
            yield Removed(kind=kind, table=table, rows=rows, action="deleted")


def _of_day(cursor: Any, day: str, before: datetime, *, dry_run: bool) -> Iterator[Removed]:
    """Drop the day if all of it is old (or it is empty); else delete what is."""
    old, young = _count(cursor, day, before)
    action, rows = "dropped", old
    if young:
        if not old:
            return
        action = "deleted"
        rows = _delete(cursor, day, "t.received_at < %(before)s", before, dry_run=dry_run)
    elif not dry_run:
        for _ in range(_TRIES):
            dropped = _drop(cursor, day, before)
            if dropped is not None:
                action = "dropped" if dropped else "kept"
                break
            time.sleep(_PAUSE_S)
        else:
            action = "busy"
    if action != "kept":
        yield Removed(kind="events", table=day, rows=rows, action=action)


def _count(cursor: Any, day: str, before: datetime) -> tuple[int, int]:
    cursor.execute(
        "SELECT count(*) FILTER (WHERE received_at < %(before)s), "  # noqa: S608 - named by PostgreSQL
        f"count(*) FILTER (WHERE received_at >= %(before)s) FROM {day}",
        {"before": before},
    )
    old, young = cursor.fetchone()
    return old, young


def _drop(cursor: Any, day: str, before: datetime) -> bool | None:
    """Whether the day has gone; None: a lock was not to be had, and nothing was changed."""
    cursor.execute("BEGIN")
    try:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        # Reads go on; who writes to this day waits, while we look whether it is old all over.
        cursor.execute(f"LOCK TABLE {day} IN SHARE MODE")
        _, young = _count(cursor, day, before)
        if not young:
            cursor.execute("LOCK TABLE fact_events IN ACCESS EXCLUSIVE MODE")
            cursor.execute(f"DROP TABLE {day}")
        cursor.execute("COMMIT")
    except (errors.LockNotAvailable, errors.DeadlockDetected, errors.UndefinedTable):
        cursor.execute("ROLLBACK")
        return None
    return not young


def _merged(cursor: Any, *, dry_run: bool) -> Iterator[Removed]:
    for period, days in candidates(partitions(cursor), today_utc()):
        rows: int | None = None
        if dry_run:
            rows = sum(_rows(cursor, day) for day in days)
        else:
            for _ in range(_MERGE_TRIES):
                rows = merge(cursor, period, days)
                if rows is not None:
                    break
                time.sleep(_PAUSE_S)
        action = "busy" if rows is None else "merged"
        yield Removed(kind="events", table=period.name, rows=rows or 0, action=action)


def _rows(cursor: Any, table: str) -> int:
    cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - named by PostgreSQL
    [(rows,)] = cursor.fetchall()
    return int(rows)


def _delete(cursor: Any, table: str, old: str, before: datetime, *, dry_run: bool) -> int:
    """Delete old rows in chunks, or count them; rows that somebody is writing stay until later."""
    values = {"before": before}
    if dry_run:
        cursor.execute(f"SELECT count(*) FROM {table} AS t WHERE {old}", values)  # noqa: S608 - ours
        counted: int = cursor.fetchone()[0]
        return counted
    rows = 0
    while True:
        cursor.execute(
            f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("  # noqa: S608 - names of our schema
            f"SELECT ctid FROM {table} AS t WHERE {old} "
            f"LIMIT {_CHUNK_ROWS} FOR UPDATE SKIP LOCKED))",
            values,
        )
        rows += int(cursor.rowcount)
        if cursor.rowcount == 0:
            return rows


def _said(error: psycopg2.Error) -> str:
    return str(error).strip().partition("\n")[0]
