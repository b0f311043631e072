"""The funnels of apps in PostgreSQL: set, and counted over `fact_events`. Calls block.

The counting is `trackstream.core.funnels` in SQL, step for step the same.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import func, insert, select, text

from trackstream.core.funnels import shares
from trackstream.core.funnels_file import funnels_of_text, version_of
from trackstream.storage.database import transaction
from trackstream.storage.registered_rows import milliseconds, require_app
from trackstream.storage.rules import EFFECTIVE_AFTER_S
from trackstream.storage.schema import funnels

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Engine, Row

    from trackstream.core.funnels import Filter, Funnel, Step, StepFigures

__all__ = ["FunnelsVersion", "count", "last", "set_funnels"]


class FunnelsVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A file of funnels as it was set."""

    app_id: str
    seq: int
    version: str
    toml: str
    note: str | None
    set_at_ms: int
    effective_at_ms: int
    """From then on they are counted live."""

    def parsed(self) -> dict[str, Funnel]:
        """The funnels by name.

        Raises:
            FunnelsError: What was valid once is no longer.
        """
        return funnels_of_text(self.toml)


def set_funnels(
    engine: Engine, app_id: str, toml: str, *, note: str | None = None
) -> FunnelsVersion:
    """Have an app's funnels be those of this file, and no others. Again is no change.

    Raises:
        FunnelsError: With every problem of the file.
        NotFoundError: There is no such app.
        StorageUnavailableError: PostgreSQL does not answer.
    """
    version = version_of(funnels_of_text(toml))
    with transaction(engine) as connection:
        require_app(connection, app_id, lock=True)
        before = _last(connection, app_id)
        if before is not None and before.version == version:
            return before
        now = func.clock_timestamp(type_=funnels.c.set_at.type)
        row = connection.execute(
            insert(funnels)
            .values(
                app_id=app_id,
                seq=before.seq + 1 if before else 1,
                version=version,
                toml=toml,
                note=note,
                set_at=now,
                effective_at=now + timedelta(seconds=EFFECTIVE_AFTER_S),
            )
            .returning(funnels)
        ).one()
        return _version(row)


def last(engine: Engine, app_id: str) -> FunnelsVersion | None:
    """The funnels that were set last; None: none ever were.

    Raises:
        NotFoundError: There is no such app.
        StorageUnavailableError: PostgreSQL does not answer.
    """
    with transaction(engine) as connection:
        require_app(connection, app_id)
        return _last(connection, app_id)


def count(
    engine: Engine, app_id: str, funnel: Funnel, *, begin: datetime, end: datetime
) -> list[StepFigures]:
    """A row for each step, of those who entered from `begin` until before `end`.

    Bots do not count. Later steps count until `within_ms` after an entry, be it after `end`.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    query, values = _query(funnel)
    values |= {
        "app_id": app_id,
        "begin": begin,
        "end": end,
        "until": end + timedelta(milliseconds=funnel.within_ms),
    }
    with transaction(engine) as connection:
        [row] = connection.execute(text(query), values).all()
    size = len(funnel.steps)
    counts, medians = row[:size], row[size:]
    return shares(counts, [None, *medians])


_KEYS = {
    "person": (
        "coalesce(o.merged_into, e.person)",
        "dim_users AS o ON o.app_id = e.app_id AND o.person = e.person",
    ),
    "session": (
        "coalesce(o.merged_into, e.session_id)",
        "fact_sessions AS o ON o.app_id = e.app_id AND o.session_id = e.session_id",
    ),
}


def _query(funnel: Funnel) -> tuple[str, dict[str, Any]]:
    """The statement, and the values of what the funnel's definition says in it."""
    values: dict[str, Any] = {
        "names": sorted({name for step in funnel.steps for name in step.events}),
        "within": timedelta(milliseconds=funnel.within_ms),
    }
    numbers = range(1, len(funnel.steps) + 1)
    later = numbers[1:]
    key, owner = _KEYS[funnel.by]
    flags = ", ".join(
        f"coalesce(bool_or({_condition(step, n, values)}), false) AS m{n}"
        for n, step in zip(numbers, funnel.steps, strict=True)
    )
    # Moments of a key are unique here: of each, the first later one of every step.
    firsts = "".join(f", min(at) FILTER (WHERE m{n}) OVER later AS n{n}" for n in later)
    joins = "\n".join(
        f"LEFT JOIN moments AS s{n} ON s{n}.key = s1.key AND s{n}.at = s{n - 1}.n{n} "
        f"AND s{n}.at <= s1.at + :within"
        for n in later
    )
    moments = ", ".join(f"s{n}.at AS t{n}" for n in numbers)
    reached = ", ".join(f"t{n}" for n in numbers)
    counts = ", ".join(f"count(t{n})" for n in numbers)
    medians = ", ".join(
        f"percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM t{n} - t{n - 1}) * 1000)"
        for n in later
    )
    query = f"""
WITH matched AS (
    SELECT {key} AS key, e.event_at AS at, {flags}
    FROM fact_events AS e LEFT JOIN {owner}
    WHERE e.app_id = :app_id AND e.event = ANY(:names) AND NOT e.bot
        AND e.event_at >= :begin AND e.event_at <= :until
        AND e.event_day BETWEEN (CAST(:begin AS timestamptz) AT TIME ZONE 'UTC')::date
            AND (CAST(:until AS timestamptz) AT TIME ZONE 'UTC')::date
    GROUP BY 1, 2
), moments AS MATERIALIZED (
    SELECT key, at, m1{firsts} FROM matched
    WINDOW later AS (
        PARTITION BY key ORDER BY at DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
), entries AS (
    SELECT s1.key, {moments} FROM moments AS s1
    {joins}
    WHERE s1.m1 AND s1.at >= :begin AND s1.at < :end
), counted AS (
    SELECT DISTINCT ON (key) * FROM entries
    ORDER BY key, num_nonnulls({reached}) DESC, t1
)
SELECT {counts}, {medians} FROM counted
"""  # noqa: S608 - numbers and names of ours; the definition's values are parameters
    return query, values


def _condition(step: Step, number: int, values: dict[str, Any]) -> str:
    values[f"e{number}"] = list(step.events)
    parts = [f"e.event = ANY(:e{number})"]
    for place, one in enumerate(step.where):
        parts += _filter(one, f"{number}_{place}", values)
    return " AND ".join(parts)


def _filter(one: Filter, place: str, values: dict[str, Any]) -> list[str]:
    values[f"p{place}"] = one.name
    # Cast: `->` takes numbers, too.
    value = f"e.properties -> CAST(:p{place} AS text)"
    parts = []
    if one.any_of is not None:
        values[f"a{place}"] = json.dumps(one.any_of)
        parts.append(
            "EXISTS (SELECT 1 "  # noqa: S608 - as above
            f"FROM jsonb_array_elements(CAST(:a{place} AS jsonb)) AS wanted (one) "
            f"WHERE wanted.one = {value})"
        )
    for name, operator in (("min", ">="), ("max", "<=")):
        bound = getattr(one, name)
        if bound is not None:
            values[f"{name}{place}"] = repr(bound)
            parts.append(
                f"CASE WHEN jsonb_typeof({value}) = 'number' "
                f"THEN ({value})::numeric {operator} CAST(:{name}{place} AS numeric) "
                "ELSE false END"
            )
    return parts


def _last(connection: Connection, app_id: str) -> FunnelsVersion | None:
    query = select(funnels).where(funnels.c.app_id == app_id).order_by(funnels.c.seq.desc())
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else _version(row)


def _version(row: Row[Any]) -> FunnelsVersion:
    return FunnelsVersion(
        app_id=row.app_id,
        seq=row.seq,
        version=row.version,
        toml=row.toml,
        note=row.note,
        set_at_ms=milliseconds(row.set_at),
        effective_at_ms=milliseconds(row.effective_at),
    )
