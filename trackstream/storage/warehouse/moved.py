"""Events that are in the warehouse already, on another day.

An event's time is that of its device's clock, corrected by what was known of that clock when it was
handled. If it is handled again, after a crash or because its client sent it again, more may be
known: the same id comes with another time, and `fact_events` tells ids apart within a day alone.
What is corrected of one clock's error only ever gets less, and no correction puts an event after
its arrival. So an earlier copy is at the event's time, or between that and its arrival:

- as much later as a request had taken longer than the fastest since;
- near its arrival, if it was corrected by an error of hours or days that is not taken for one now;
- at its client's time, if nothing was known of the clock then.

These are the days that are looked at. An event in the middle of the day, that arrived on that day
and from a clock of that day, has none, and costs nothing: that is nearly every event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.storage.warehouse.rows import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.core.records import Event

__all__ = ["REACH_MS", "other_days", "removal"]

REACH_MS = 3_600_000
"""By how much the latency of a request may have moved an event."""

_NONE: frozenset[int] = frozenset()


def other_days(event: Event) -> frozenset[int]:
    """Days since 1970, besides its own, on which an earlier copy of the event may be."""
    at_ms = event.timestamp_ms
    day = at_ms // DAY_MS
    begin_ms = day * DAY_MS
    end_ms = begin_ms + DAY_MS
    if (
        begin_ms <= at_ms - REACH_MS
        and at_ms + REACH_MS < end_ms
        and begin_ms <= event.received_at_ms < end_ms
        and begin_ms <= event.client_timestamp_ms < end_ms
    ):
        return _NONE
    moments = (
        at_ms - REACH_MS,
        at_ms + REACH_MS,
        event.received_at_ms,
        event.client_timestamp_ms,
    )
    return frozenset(moment // DAY_MS for moment in moments) - {day}


def removal(days: Iterable[int]) -> str:
    """The statement that removes from the staged events those that are on one of these days.

    It asks the primary key for one row, once for each event and day that is another day of it.
    Subqueries by themselves, not a join, and each of one day, so that all columns of the key are
    given: a planner who knows nothing of a day's table yet takes its index from a thousand rows
    on. With several days in one subquery it read all rows of an app, for each event.
    """
    return "DELETE FROM stage_fact_events AS mine WHERE " + " OR ".join(  # noqa: S608 - numbers
        _is_there(day) for day in sorted(days)
    )


def _is_there(day: int) -> str:
    begin_ms = day * DAY_MS
    bounds = f"BETWEEN {begin_ms} AND {begin_ms + DAY_MS - 1}"
    return (
        f"(mine.event_day <> {day} AND (mine.event_at - {REACH_MS} {bounds} "  # noqa: S608 - numbers
        f"OR mine.event_at + {REACH_MS} {bounds} "
        f"OR mine.received_at {bounds} OR mine.client_at {bounds}) "
        f"AND (SELECT true FROM fact_events AS old WHERE old.event_day = DATE '1970-01-01' + {day} "
        "AND old.app_id = mine.app_id AND old.event_id = mine.event_id "
        "AND old.subject = mine.subject))"
    )
