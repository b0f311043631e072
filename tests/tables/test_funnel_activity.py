from __future__ import annotations

from typing import TYPE_CHECKING

from tables.funnel_activity import expired, is_kept, row_key, rows_of
from trackstream.core.funnel_progress import KEPT_DAYS, FunnelCounts, FunnelDay
from trackstream.core.rules import DAY_MS

if TYPE_CHECKING:
    from trackstream.application import Application

DAY = 20_279


def test_a_days_rows_are_found_and_old_ones_expire(app: Application) -> None:
    table = app.state_tables.funnel_activity
    rows = [
        ("shop", FunnelDay("f", 5, DAY - 1), FunnelCounts({1: 1})),
        ("shop", FunnelDay("f", 5, DAY), FunnelCounts({1: 2, 2: 1})),
        ("a|b", FunnelDay("f", 5, DAY), FunnelCounts({1: 3})),
        ("shop", FunnelDay("f", 17 * 10**11, DAY), FunnelCounts({1: 4})),
        ("shop", FunnelDay("f", 5, DAY + 1), FunnelCounts({1: 5})),
    ]
    keys = [row_key(place, app_id) for app_id, place, _ in rows]
    changes = [
        (key, counts, table.encode(counts)) for key, (_, _, counts) in zip(keys, rows, strict=True)
    ]
    table.apply(0, changes, offset=1)

    assert sorted(rows_of(table, 0, DAY), key=lambda row: row.counts.counts[1]) == rows[1:4]
    assert list(rows_of(table, 1, DAY)) == []
    assert list(rows_of(table, 0, DAY + 2)) == []
    last_ms = (DAY + KEPT_DAYS - 1) * DAY_MS
    assert (is_kept(DAY, at_ms=last_ms), is_kept(DAY, at_ms=last_ms + DAY_MS)) == (True, False)
    assert expired(table, 0, at_ms=last_ms) == keys[:1]
    assert set(expired(table, 0, at_ms=last_ms + DAY_MS)) == set(keys[:4])
    assert len(expired(table, 0, at_ms=last_ms + DAY_MS, limit=2)) == 2
