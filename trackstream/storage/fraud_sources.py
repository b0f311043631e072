"""The sources that are marked as fraudulent: their clicks get no credit while they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from trackstream.core.flooding import FRAUDULENT, Judged
from trackstream.storage.database import transaction
from trackstream.storage.registered_rows import milliseconds, moment
from trackstream.storage.schema import fraud_sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Engine

__all__ = ["Mark", "listed", "mark", "marked_sources", "unmark"]

_FIGURES = (
    *("match_type", "window_ms", "installs", "others", "median_ms", "day_share", "far_share"),
    *("spike_share", "distance", "p_flooding", "p_injection"),
)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A source that is marked, or was until `unmarked_at_ms`."""

    app_id: str
    source: str
    since_ms: int
    reason: str
    """`flooding` or `injection`."""
    figures: dict[str, Any]
    unmarked_at_ms: int | None


def marked_sources(engine: Engine, app_id: str) -> tuple[str, ...]:
    """The app's marked sources, `campaign_id/sub_publisher`, sorted. Blocks.

    For `rules.fraud.blocklists.sources`, which the rule `flooding_source` asks.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    return tuple(one.source for one in listed(engine, app_id) if one.unmarked_at_ms is None)


def listed(engine: Engine, app_id: str) -> list[Mark]:
    """The app's sources that are or were marked, sorted by name. Blocks.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    table = fraud_sources.c
    # PostgreSQL's own order of text depends on the locale of the database.
    query = select(fraud_sources).where(table.app_id == app_id).order_by(table.source.collate("C"))
    with transaction(engine) as connection:
        rows = connection.execute(query).all()
    return [
        Mark(
            app_id=row.app_id,
            source=row.source,
            since_ms=milliseconds(row.since),
            reason=row.reason,
            figures=row.figures or {},
            unmarked_at_ms=None if row.unmarked_at is None else milliseconds(row.unmarked_at),
        )
        for row in rows
    ]


def mark(engine: Engine, app_id: str, judged: Iterable[Judged], *, at_ms: int) -> list[str]:
    """Mark the sources whose verdict is fraudulent; which of them were not marked yet. Blocks.

    One that is marked already stays so since when it was, with the newest figures.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer; nothing was marked.
    """
    # A source may have been judged in several groups; the surest verdict comes first.
    guilty: dict[str, Judged] = {}
    for one in judged:
        if one.verdict in FRAUDULENT:
            guilty.setdefault(one.source, one)
    if not guilty:
        return []
    statement = insert(fraud_sources).values(
        [
            {
                "app_id": app_id,
                "source": source,
                "since": moment(at_ms),
                "reason": one.verdict,
                "figures": {name: getattr(one, name) for name in _FIGURES},
            }
            for source, one in sorted(guilty.items())
        ]
    )
    new, old = statement.excluded, fraud_sources.c
    statement = statement.on_conflict_do_update(
        index_elements=["app_id", "source"],
        set_={
            "since": case((old.unmarked_at.is_(None), old.since), else_=new.since),
            "reason": new.reason,
            "figures": new.figures,
            "unmarked_at": None,
        },
    )
    with transaction(engine) as connection:
        known = set(
            connection.scalars(
                select(old.source).where(
                    old.app_id == app_id, old.source.in_(guilty), old.unmarked_at.is_(None)
                )
            )
        )
        connection.execute(statement)
    return sorted(guilty.keys() - known)


def unmark(engine: Engine, app_id: str, sources: Sequence[str]) -> list[str]:
    """Let sources have credit again; those that were marked, sorted. Blocks.

    The job judges them by clicks from now on, so that it does not mark them again for old ones.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer; nothing was changed.
    """
    table = fraud_sources.c
    statement = (
        update(fraud_sources)
        .where(table.app_id == app_id, table.source.in_(sources), table.unmarked_at.is_(None))
        .values(unmarked_at=func.now())
        .returning(table.source)
    )
    with transaction(engine) as connection:
        return sorted(connection.scalars(statement))
