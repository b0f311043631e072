"""Replaying the decisions that the warehouse has: read in order of time, decided again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import and_, func, select, text

from trackstream.core.credits import MODELS
from trackstream.core.records import Attribution, Conversion, Credit, Earlier
from trackstream.core.replay import Brought, Difference, again
from trackstream.storage.database import transaction
from trackstream.storage.decision_rows import NEWEST, candidates_of, credits_where, touch_of
from trackstream.storage.registered_rows import milliseconds
from trackstream.storage.schema import attribution_credits, attribution_revisions, attributions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine, Row

    from trackstream.core.models import Weigh
    from trackstream.core.rules import Rules
    from trackstream.storage.replay_changes import Changes

__all__ = ["Wanted", "run"]

_ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which decisions, and under what they are made again."""

    app_id: str
    begin: datetime
    """Conversions from then on …"""
    end: datetime
    """… and before then."""
    rules: Rules
    at_ms: int
    """When this is decided."""
    models: Mapping[str, Weigh] = field(default_factory=lambda: MODELS)


def run(
    engine: Engine,
    wanted: Wanted,
    changes: Changes,
    *,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Difference:
    """Make the newest revision of every decision again, at one moment of the warehouse. Blocks.

    Args:
        engine: the database.
        wanted: which, and how.
        changes: takes the revisions that would follow, in order of time. Nothing else is written.
        on_progress: told now and then how many are done, and of how many.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    difference = Difference()
    with transaction(engine) as connection:
        # What is decided meanwhile belongs to none of the queries, or to all of them.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        table, given = attributions.c, attribution_credits.c
        total = connection.execute(
            select(func.count()).select_from(attributions).where(_of(wanted))
        ).scalar_one()
        done = 0
        on_progress(done, total)
        query = (
            select(attribution_revisions)
            .join(attributions, NEWEST)
            .where(_of(wanted))
            # Earlier conversions first, and of those at the same moment as the core has it.
            .order_by(table.converted_at, table.conversion_id.collate("C"))
        )
        streamed = connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE})
        for rows in streamed.partitions():
            credited = credits_where(
                connection,
                and_(
                    given.app_id == wanted.app_id,
                    given.conversion_id.in_([row.conversion_id for row in rows]),
                ),
            )
            page = [
                _attribution(row, credited.get((row.app_id, row.conversion_id), [])) for row in rows
            ]
            _page(connection, page, wanted, changes, difference)
            done += len(page)
            on_progress(done, total)
    return difference


def _of(wanted: Wanted) -> Any:
    table = attributions.c
    return and_(
        table.app_id == wanted.app_id,
        table.converted_at >= wanted.begin,
        table.converted_at < wanted.end,
    )


def _page(
    connection: Connection,
    page: Sequence[Attribution],
    wanted: Wanted,
    changes: Changes,
    difference: Difference,
) -> None:
    asked = {earlier.conversion_id for stored in page for earlier in stored.earlier}
    brought = {**_brought(connection, wanted.app_id, asked), **changes.brought(asked)}
    for stored in page:
        made = again(stored, brought, at_ms=wanted.at_ms, rules=wanted.rules, models=wanted.models)
        difference.add(made)
        if made is None:
            continue
        if made.revised is not None:
            changes.add(made.revised)
        decision = made.decision
        brought[stored.conversion_id] = Brought(decision.touch, decision.confidence)


def _brought(connection: Connection, app_id: str, conversion_ids: set[str]) -> dict[str, Brought]:
    """To what these conversions are attributed; those that are not there are left out."""
    if not conversion_ids:
        return {}
    newest, revisions = attributions.c, attribution_revisions.c
    query = (
        select(revisions.conversion_id, revisions.touch, revisions.confidence)
        .join(attributions, NEWEST)
        .where(newest.app_id == app_id, newest.conversion_id.in_(conversion_ids))
    )
    return {
        conversion_id: Brought(touch_of(touch), confidence)
        for conversion_id, touch, confidence in connection.execute(query)
    }


def _attribution(row: Row[Any], credited: list[Credit]) -> Attribution:
    """What was published, as far as deciding again needs it."""
    return Attribution(
        conversion_id=row.conversion_id,
        revision=row.revision,
        app_id=row.app_id,
        person=row.person,
        subject=row.subject,
        kind=row.kind,
        event=row.event,
        event_id=row.event_id,
        at_ms=milliseconds(row.converted_at),
        decided_at_ms=milliseconds(row.decided_at),
        method=row.method,
        confidence=row.confidence,
        touch=touch_of(row.touch),
        identifier=row.identifier,
        window_ms=row.window_ms,
        inherited_from=row.inherited_from,
        candidates=candidates_of(row.candidates),
        credits=credited,
        unanswered=list(row.unanswered),
        rules_version=row.rules_version,
        conversion=None if row.conversion is None else msgspec.convert(row.conversion, Conversion),
        earlier=msgspec.convert(row.earlier or [], list[Earlier]),
    )
