"""The journeys of an app as the warehouse has them, for models to learn from.

A journey with a conversion is its newest decision: the candidates that were eligible. One without
is a person who came by campaigns in the period, and has no conversion in it; each channel in each
session counts as one touch, since a session's pages all carry the campaign of the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, or_, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by

from trackstream.core.models import ConvertedPath, PathCount, path_of
from trackstream.core.models.paths import NO_CHANNEL
from trackstream.core.money import micros
from trackstream.storage.database import transaction
from trackstream.storage.decision_rows import NEWEST, candidates_of, touch_of
from trackstream.storage.registered_rows import milliseconds
from trackstream.storage.schema import attribution_revisions, attributions, fact_events

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Engine

__all__ = ["Period", "StoredPaths", "read"]

_ROWS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Which journeys."""

    app_id: str
    begin: datetime
    """Conversions, and visits of those who did not convert, from then on …"""
    end: datetime
    """… and before then."""
    event: str | None = None
    """Only conversions of this event; None: of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPaths:
    """What was found."""

    converted: list[ConvertedPath]
    """One for each conversion; those without touches are organic."""
    unconverted: list[PathCount]


def read(engine: Engine, period: Period) -> StoredPaths:
    """Read the journeys of a period, at one moment. Blocks.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    with transaction(engine) as connection:
        # Both queries see the same state: who converts in between is not counted twice.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        return StoredPaths(
            converted=_converted(connection, period), unconverted=_unconverted(connection, period)
        )


def _of_conversions(period: Period) -> ColumnElement[bool]:
    table = attributions.c
    conditions = [
        table.app_id == period.app_id,
        table.converted_at >= period.begin,
        table.converted_at < period.end,
    ]
    if period.event is not None:
        conditions.append(table.event == period.event)
    return and_(*conditions)


def _converted(connection: Connection, period: Period) -> list[ConvertedPath]:
    newest, revisions = attributions.c, attribution_revisions.c
    query = (
        select(
            newest.converted_at,
            newest.method,
            newest.revenue,
            newest.currency,
            revisions.touch,
            revisions.candidates,
        )
        .join(attribution_revisions, NEWEST)
        .where(_of_conversions(period))
    )
    rows = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query)
    return [_path(row) for row in rows]


def _path(row: Any) -> ConvertedPath:
    return ConvertedPath(
        path=path_of(candidates_of(row.candidates), method=row.method, touch=touch_of(row.touch)),
        at_ms=milliseconds(row.converted_at),
        revenue_micros=0 if row.revenue is None else micros(row.revenue) or 0,
        currency=row.currency,
    )


def _unconverted(connection: Connection, period: Period) -> list[PathCount]:
    event = fact_events.c
    marks = (event.channel, event.campaign_id, event.utm_source, event.utm_medium)
    converted = (
        select(attributions.c.conversion_id)
        .where(_of_conversions(period), attributions.c.person == event.person)
        .correlate(fact_events)
    )
    channel = func.coalesce(event.channel, event.utm_medium, NO_CHANNEL)
    touches = (
        select(
            event.person,
            event.session_id,
            channel.label("channel"),
            func.min(event.event_at).label("at"),
        )
        .where(
            event.app_id == period.app_id,
            event.event_at >= period.begin,
            event.event_at < period.end,
            # Of the day's partitions only those of the period.
            event.event_day >= period.begin.date(),
            event.event_day <= period.end.date(),
            ~event.bot,
            or_(
                *(mark.is_not(None) for mark in (*marks, event.utm_campaign)),
                func.coalesce(event.click_ids, func.jsonb_build_object())
                != func.jsonb_build_object(),
            ),
            ~converted.exists(),
        )
        .group_by(event.person, event.session_id, channel)
        .subquery()
    )
    path = func.array_agg(
        aggregate_order_by(touches.c.channel, touches.c.at, touches.c.session_id, touches.c.channel)
    )
    journeys = select(path.label("path")).group_by(touches.c.person).subquery()
    query = select(journeys.c.path, func.count()).group_by(journeys.c.path)
    rows = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query)
    return [PathCount(tuple(channels), 0, 0, count) for channels, count in rows]
