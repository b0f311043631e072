"""How a conversion was decided: every revision, with every touch that was considered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import or_, select, tuple_

from trackstream.core.records import Candidate, Credit, Touch
from trackstream.storage.database import transaction
from trackstream.storage.decision_rows import candidates_of, credits_where, touch_of
from trackstream.storage.errors import NotFoundError
from trackstream.storage.registered_rows import milliseconds
from trackstream.storage.schema import attribution_credits, attribution_revisions

if TYPE_CHECKING:
    from sqlalchemy import Engine, Row

__all__ = ["Explanation", "Revision", "explain"]


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """One decision, as it was published. Money in units of its currency, as decimal text."""

    revision: int
    decided_at_ms: int
    method: str
    confidence: float
    touch: Touch | None
    identifier: str | None
    window_ms: int | None
    inherited_from: str | None
    inherited_kind: str | None
    """What that conversion is: `install` or `reengagement`; None where nothing is taken over."""
    candidates: list[Candidate]
    unanswered: list[str]
    rules_version: str
    previous_method: str | None
    previous_touch_id: str | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion with all its revisions, the oldest first; the last one counts."""

    app_id: str
    conversion_id: str
    kind: str
    event: str
    event_id: str
    person: str
    subject: str
    at_ms: int
    country: str | None
    revenue: str | None
    currency: str | None
    revisions: list[Revision]
    credits: list[Credit] = []
    """What each multi-touch model gives to each touch, under the last revision."""


def explain(engine: Engine, name: str, *, app_id: str | None = None) -> list[Explanation]:
    """The conversions with this conversion id or event id, by app and id. Blocks.

    An event id can name one in each app, unless `app_id` says which.

    Raises:
        NotFoundError: There is none (or it was not decided, or not written yet).
        StorageUnavailableError: PostgreSQL does not answer.
    """
    table = attribution_revisions
    query = (
        select(table)
        .where(or_(table.c.conversion_id == name, table.c.event_id == name))
        .order_by(table.c.app_id, table.c.conversion_id, table.c.revision)
    )
    if app_id is not None:
        query = query.where(table.c.app_id == app_id)
    with transaction(engine) as connection:
        rows = connection.execute(query).all()
        conversions = sorted({(row.app_id, row.conversion_id) for row in rows})
        given = attribution_credits.c
        shared = credits_where(
            connection, tuple_(given.app_id, given.conversion_id).in_(conversions)
        )
    if not rows:
        raise NotFoundError(f"there is no conversion, and no converting event, with the id {name}")
    found: dict[tuple[str, str], list[Row[Any]]] = {}
    for row in rows:
        found.setdefault((row.app_id, row.conversion_id), []).append(row)
    return [_explanation(rows, shared.get(key, [])) for key, rows in found.items()]


def _explanation(rows: list[Row[Any]], shared: list[Credit]) -> Explanation:
    newest = rows[-1]
    return Explanation(
        app_id=newest.app_id,
        conversion_id=newest.conversion_id,
        kind=newest.kind,
        event=newest.event,
        event_id=newest.event_id,
        person=newest.person,
        subject=newest.subject,
        at_ms=milliseconds(newest.converted_at),
        country=newest.country,
        revenue=None if newest.revenue is None else f"{newest.revenue:f}",
        currency=newest.currency,
        revisions=[_revision(row) for row in rows],
        credits=shared,
    )


def _revision(row: Row[Any]) -> Revision:
    return Revision(
        revision=row.revision,
        decided_at_ms=milliseconds(row.decided_at),
        method=row.method,
        confidence=row.confidence,
        touch=touch_of(row.touch),
        identifier=row.identifier,
        window_ms=row.window_ms,
        inherited_from=row.inherited_from,
        inherited_kind=_kind_of(row.inherited_from, row.earlier),
        candidates=candidates_of(row.candidates),
        unanswered=list(row.unanswered),
        rules_version=row.rules_version,
        previous_method=row.previous_method,
        previous_touch_id=row.previous_touch_id,
    )


def _kind_of(conversion_id: str | None, earlier: Any) -> str | None:
    """Of the earlier conversions that a revision names, this one's kind."""
    kinds = {one["conversion_id"]: str(one["kind"]) for one in earlier or ()}
    return kinds.get(conversion_id) if conversion_id else None
