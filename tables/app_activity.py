"""`app_activity`: what goes on in each app, in windows of 30 minutes that begin every 5.

A row for each 5 minutes, from which `core.activity.in_window` makes windows. A subject's messages
are all in one partition, so the partitions' counts of active subjects have nobody in common, and
their sum is exact. Key: `begin|app`, the row's begin in epoch milliseconds, padded, so that rows
of a time span are neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tables.base import StateTable
from trackstream.core.activity import WINDOW_MS, AppActivity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faust.types import AppT

__all__ = ["RETENTION_MS", "Window", "define", "expired", "is_kept", "row_key", "windows_since"]

RETENTION_MS = 24 * 3_600_000
"""Windows that ended longer ago are neither counted nor kept."""


class Window(NamedTuple):
    """One row, its key taken apart."""

    begin_ms: int
    app_id: str
    activity: AppActivity


def define(app: AppT, **options: Any) -> StateTable[AppActivity]:
    """Add the table to the app."""
    return StateTable(
        app,
        name="app_activity",
        state_type=AppActivity,
        version=1,
        help="Subjects of 30 minutes, events, sessions and conversions of 5, by app",
        **options,
    )


def row_key(begin_ms: int, app_id: str) -> str:
    """The key of an app's row."""
    return f"{_first_key(begin_ms)}{app_id}"


def _first_key(begin_ms: int) -> str:
    return f"{begin_ms:014d}|"


def is_kept(begin_ms: int, *, at_ms: int) -> bool:
    """Whether a window is still counted and shown at a moment."""
    return begin_ms + WINDOW_MS > at_ms - RETENTION_MS


def windows_since(
    table: StateTable[AppActivity], partition: int, since_ms: int
) -> Iterator[Window]:
    """Windows of a partition that began at `since_ms` or later."""
    for key, activity in table.scan(partition, start=_first_key(max(0, since_ms))):
        begin, app_id = key.split("|", 1)
        yield Window(int(begin), app_id, activity)


def expired(
    table: StateTable[AppActivity], partition: int, *, at_ms: int, limit: int = 500
) -> list[str]:
    """Keys of windows that are not kept any more, at most `limit`."""
    return table.first_keys(
        partition,
        lambda key: not is_kept(int(key.partition("|")[0]), at_ms=at_ms),
        limit=limit,
    )
