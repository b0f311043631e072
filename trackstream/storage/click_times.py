"""How long after its click each install came, by source: what `core.flooding` judges."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB

from trackstream.core.flooding import Group, Limits, counted_ms
from trackstream.core.records import Conversion
from trackstream.storage.database import transaction

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Engine

__all__ = ["read"]

_ROWS_AT_ONCE = 10_000

# Chosen by the time of the click, not of the install: the installs of any one week are a mixture of
# those of new and old clicks, and a campaign that has ended would have only late ones. A click
# whose window is still open would have only early ones.
# Of the fast ones, which are few, it is looked at what else is known.
_QUERY = text("""
SELECT a.campaign_id || '/' || coalesce(a.sub_publisher, '') AS source, a.method, a.window_ms,
    (extract(epoch FROM a.converted_at - a.touched_at) * 1000)::bigint AS time_ms,
    CASE WHEN a.converted_at - a.touched_at < :fast_ms * interval '1 ms' THEN (
        SELECT r.conversion FROM attribution_revisions AS r
        WHERE (r.app_id, r.conversion_id, r.revision) = (a.app_id, a.conversion_id, a.revision)
    ) END AS conversion
FROM attributions AS a
LEFT JOIN fraud_sources AS f ON f.app_id = a.app_id
    AND f.source = a.campaign_id || '/' || coalesce(a.sub_publisher, '')
WHERE a.app_id = :app_id AND a.kind = 'install'
    AND a.method IN ('click_deterministic', 'click_probabilistic')
    AND a.campaign_id IS NOT NULL
    AND a.converted_at >= :begin AND a.converted_at < CAST(:end AS timestamptz) + interval '31 days'
    AND a.touched_at >= :begin AND a.touched_at < :end
    AND a.touched_at + a.window_ms * interval '1 ms' <= :now
    AND (f.unmarked_at IS NULL OR a.touched_at > f.unmarked_at)
""").columns(conversion=JSONB)


def read(
    engine: Engine,
    app_id: str,
    *,
    begin: datetime,
    end: datetime,
    now: datetime,
    limits: Limits | None = None,
) -> dict[Group, dict[str, array[int]]]:
    """The times from click to install, as `counted_ms`, by match type, window and source. Blocks.

    Of the app's attributed installs whose click was from `begin` until before `end`, and whose
    window has passed by `now`; without reinstalls, and without clicks that name no campaign.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    found: dict[Group, dict[str, array[int]]] = {}
    limits = limits or Limits()
    fast_ms = limits.spike_ms
    asked = {"app_id": app_id, "begin": begin, "end": end, "now": now, "fast_ms": fast_ms}
    with transaction(engine) as connection:
        streamed = connection.execution_options(yield_per=_ROWS_AT_ONCE)
        for row in streamed.execute(_QUERY, asked):
            took_ms = row.time_ms
            if took_ms < fast_ms:
                given = row.conversion
                install = None if given is None else msgspec.convert(given, Conversion)
                took_ms = counted_ms(took_ms, install, limits)
            sources = found.setdefault(Group(row.method, row.window_ms), {})
            sources.setdefault(row.source, array("q")).append(took_ms)
    return found
