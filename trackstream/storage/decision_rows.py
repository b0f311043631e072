"""What the warehouse keeps of decisions, back as the records that they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import and_, select

from trackstream.core.money import micros
from trackstream.core.records import Candidate, Credit, Touch
from trackstream.storage.schema import attribution_credits, attribution_revisions, attributions

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

__all__ = ["NEWEST", "candidates_of", "credits_where", "touch_of"]

NEWEST: ColumnElement[bool] = and_(
    *(
        attribution_revisions.c[name] == attributions.c[name]
        for name in ("app_id", "conversion_id", "revision")
    )
)
"""That a row of `attribution_revisions` is of the revision that counts."""


def touch_of(stored: Any) -> Touch | None:
    """The touch that a revision names."""
    return None if stored is None else msgspec.convert(stored, Touch)


def candidates_of(stored: Any) -> list[Candidate]:
    """The touches that a revision considered."""
    return msgspec.convert(stored or [], list[Candidate])


def credits_where(
    connection: Connection, condition: ColumnElement[bool]
) -> dict[tuple[str, str], list[Credit]]:
    """By app and conversion what models give: by model, the largest share first."""
    table = attribution_credits
    query = (
        select(table)
        .where(condition)
        .order_by(table.c.model, table.c.share_millionths.desc(), table.c.touch_id)
    )
    found: dict[tuple[str, str], list[Credit]] = {}
    for row in connection.execute(query):
        credit = Credit(
            model=row.model,
            touch_id=row.touch_id,
            campaign_id=row.campaign_id,
            channel=row.channel,
            share_millionths=row.share_millionths,
            revenue_micros=micros(row.revenue),
        )
        found.setdefault((row.app_id, row.conversion_id), []).append(credit)
    return found
