"""How long after its click each install came, by source: what `core.flooding` judges."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from sqlalchemy import text

from trackstream.core.flooding import Group
from trackstream.storage.database import transaction

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Engine

__all__ = ["read"]

_ROWS_AT_ONCE = 10_000

# Chosen by the time of the click, not of the install: the installs of any one week are a mixture of
# those of new and old clicks, and a campaign that has ended would have only late ones. A click
# whose window is still open would have only early ones.
_QUERY = """
SELECT a.campaign_id || '/' || coalesce(a.sub_publisher, '') AS source, a.method, a.window_ms,
    (extract(epoch FROM a.converted_at - a.touched_at) * 1000)::bigint AS time_ms
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
"""


def read(
    engine: Engine, app_id: str, *, begin: datetime, end: datetime, now: datetime
) -> dict[Group, dict[str, array[int]]]:
    """The times from click to install, in milliseconds, by match type, window and source. Blocks.

    Of the app's attributed installs whose click was from `begin` until before `end`, and whose
    window has passed by `now`; without reinstalls, and without clicks that name no campaign.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    found: dict[Group, dict[str, array[int]]] = {}
    asked = {"app_id": app_id, "begin": begin, "end": end, "now": now}
    with transaction(engine) as connection:
        streamed = connection.execution_options(yield_per=_ROWS_AT_ONCE)
        for source, method, window_ms, time_ms in streamed.execute(text(_QUERY), asked):
            sources = found.setdefault(Group(method, window_ms), {})
            sources.setdefault(source, array("q")).append(time_ms)
    return found
