"""`campaign_activity`: what happened to each campaign, by minute. Partial per partition.

A row is in the partition of the message that was counted, not of its campaign: readers add up all
partitions. Touches and decisions are counted by different agents, so in different rows; that way
no row has two writers. Key: `source|minute|app|campaign`, minute in epoch milliseconds, padded, so
that rows of a time span are neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tables.base import StateTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faust.types import AppT

__all__ = [
    "DECISIONS",
    "MINUTE_MS",
    "RETENTION_MS",
    "TOUCHES",
    "Activity",
    "Row",
    "define",
    "expired",
    "row_key",
    "rows_since",
]

MINUTE_MS = 60_000
RETENTION_MS = 24 * 3_600_000

TOUCHES = "t"
"""Source of clicks and impressions."""
DECISIONS = "a"
"""Source of installs, conversions and revenue."""


class Activity(msgspec.Struct, frozen=True, array_like=True):
    """Counts of one row; also a change of them."""

    clicks: int = 0
    impressions: int = 0
    installs: int = 0
    conversions: int = 0
    revenue_micros: dict[str, int] = {}
    """By currency; an unknown one is the empty text."""
    applied: int = -1
    """Source offset of the last message counted, so that its replay is not."""


class Row(NamedTuple):
    """One row, its key taken apart."""

    minute_ms: int
    app_id: str
    campaign_id: str
    """Empty: none, the organic ones."""
    activity: Activity


def define(app: AppT, **options: Any) -> StateTable[Activity]:
    """Add the table to the app."""
    return StateTable(
        app,
        name="campaign_activity",
        state_type=Activity,
        version=1,
        help="Clicks, impressions, installs, conversions and revenue by campaign and minute",
        **options,
    )


def row_key(source: str, at_ms: int, app_id: str, campaign_id: str | None) -> str:
    """The key of the row in which something at `at_ms` counts."""
    return f"{_first_key(source, at_ms)}{app_id}|{campaign_id or ''}"


def _first_key(source: str, at_ms: int) -> str:
    """What every key of that minute begins with: no key of it is less."""
    return f"{source}|{at_ms - at_ms % MINUTE_MS:014d}|"


def rows_since(table: StateTable[Activity], partition: int, since_ms: int) -> Iterator[Row]:
    """Rows of a partition from the minute of `since_ms` on."""
    for source in (TOUCHES, DECISIONS):
        for key, activity in table.scan(partition, start=_first_key(source, since_ms)):
            kind, minute, app_id, campaign_id = key.split("|", 3)
            if kind != source:
                break
            yield Row(int(minute), app_id, campaign_id, activity)


def expired(
    table: StateTable[Activity], partition: int, source: str, *, at_ms: int, limit: int = 500
) -> list[str]:
    """Keys of rows older than is kept, at most `limit`."""
    end = _first_key(source, max(0, at_ms - RETENTION_MS))
    return table.first_keys(partition, lambda key: key < end, limit=limit, start=f"{source}|")
