"""`funnel_activity`: how many have come to each step of a funnel, by day of entry. Partial.

A subject's messages are all in one partition, so the partitions' counts have nobody in common, and
their sum is what there is. Key: `day|since|name|app`, the day as its number since 1970 and the
moment since which the funnel is defined so in epoch milliseconds, both padded, so that rows of a
day are neighbours and a definition that is changed counts in rows of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tables.base import StateTable
from trackstream.core.funnel_progress import FunnelCounts, FunnelDay, oldest_day

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faust.types import AppT

__all__ = ["Row", "define", "expired", "is_kept", "row_key", "rows_of"]


class Row(NamedTuple):
    """One row, its key taken apart."""

    app_id: str
    place: FunnelDay
    counts: FunnelCounts


def define(app: AppT, **options: Any) -> StateTable[FunnelCounts]:
    """Add the table to the app."""
    return StateTable(
        app,
        name="funnel_activity",
        state_type=FunnelCounts,
        version=1,
        help="How many have come to each step of a funnel, by app and day of entry",
        **options,
    )


def row_key(place: FunnelDay, app_id: str) -> str:
    """The key of a funnel's day."""
    return f"{_first_key(place.day)}{place.since_ms:014d}|{place.name}|{app_id}"


def _first_key(day: int) -> str:
    return f"{day:06d}|"


def is_kept(day: int, *, at_ms: int) -> bool:
    """Whether a day is still counted and shown at a moment."""
    return day >= oldest_day(at_ms)


def rows_of(table: StateTable[FunnelCounts], partition: int, day: int) -> Iterator[Row]:
    """Rows of a day in a partition."""
    for key, counts in table.scan(partition, start=_first_key(day)):
        if not key.startswith(_first_key(day)):
            break
        _, since, name, app_id = key.split("|", 3)
        yield Row(app_id, FunnelDay(name, int(since), day), counts)


def expired(
    table: StateTable[FunnelCounts], partition: int, *, at_ms: int, limit: int = 500
) -> list[str]:
    """Keys of days that are not kept any more, at most `limit`."""
    return table.first_keys(
        partition,
        lambda key: not is_kept(int(key.partition("|")[0]), at_ms=at_ms),
        limit=limit,
    )
