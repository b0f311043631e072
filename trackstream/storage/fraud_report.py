"""What the fraud rules have done: rejected and flagged touches, by rule and campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import text

from trackstream.storage.database import transaction

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Engine

__all__ = ["Noticed", "read"]

_QUERY = """
SELECT noticed.rule, candidate -> 'touch' ->> 'campaign_id' AS campaign_id,
    sum(noticed.rejected) AS rejected, sum(noticed.flagged) AS flagged,
    count(DISTINCT a.conversion_id) AS conversions
FROM attributions AS a
JOIN attribution_revisions AS r USING (app_id, conversion_id, revision)
CROSS JOIN LATERAL jsonb_array_elements(r.candidates) AS candidate
CROSS JOIN LATERAL (
    SELECT substr(candidate ->> 'verdict', length('fraud:') + 1), 1, 0
    WHERE candidate ->> 'verdict' LIKE 'fraud:%'
    UNION ALL
    SELECT flag, 0, 1 FROM jsonb_array_elements_text(candidate -> 'flags') AS flag
) AS noticed (rule, rejected, flagged)
WHERE a.app_id = :app_id AND a.converted_at >= :begin AND a.converted_at < :end
GROUP BY 1, 2 ORDER BY rejected DESC, flagged DESC, 1, 2
"""


class Noticed(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule has noticed of one campaign's touches, in the decisions that count."""

    rule: str
    campaign_id: str | None
    rejected: int
    """Touches that lost their credit."""
    flagged: int
    """Touches that were only marked."""
    conversions: int
    """Conversions that had such a touch."""


def read(engine: Engine, app_id: str, *, begin: datetime, end: datetime) -> list[Noticed]:
    """By rule and campaign, of conversions from `begin` until before `end`, most first. Blocks.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    with transaction(engine) as connection:
        rows = connection.execute(text(_QUERY), {"app_id": app_id, "begin": begin, "end": end})
        return [
            Noticed(
                rule=row.rule,
                campaign_id=row.campaign_id,
                rejected=int(row.rejected),
                flagged=int(row.flagged),
                conversions=row.conversions,
            )
            for row in rows
        ]
