"""What goes on in an app, in windows of 30 minutes that begin every 5.

A subject remembers in which slices of 5 minutes it was active, so it knows for each window whether
an event is its first there. A count of active subjects is thus exact and needs no set: it is a
number that each subject has counted up once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "HOP_MS",
    "WINDOW_MS",
    "AppActivity",
    "Counted",
    "Slices",
    "counted",
    "first_in",
    "in_window",
    "remembered",
    "windows_of",
]

HOP_MS = 5 * 60_000
WINDOW_MS = 30 * 60_000
_HOPS = WINDOW_MS // HOP_MS
_MOST_SLICES = 24 * 3_600_000 // HOP_MS

Slices = list[int]
"""Numbers of slices of 5 minutes since 1970, in order."""


class AppActivity(msgspec.Struct, frozen=True, array_like=True):
    """A row of counts; also a change of one, and all counts of a window (see `in_window`).

    Each slice of 5 minutes has a row. Subjects are counted for the window that begins with it,
    since they are not the sum of those of its slices; all else is counted for the slice itself.
    """

    active_subjects: int = 0
    converting_subjects: int = 0
    """Those with a conversion."""
    events: int = 0
    conversions: int = 0
    sessions_started: int = 0
    applied: int = -1
    """Source offset of the last message counted, so that its replay is not."""

    @property
    def conversion_rate(self) -> float:
        """The share of active subjects that have converted; 0 if there are none."""
        return self.converting_subjects / self.active_subjects if self.active_subjects else 0.0


def windows_of(at_ms: int) -> range:
    """Where the windows begin that this moment is in, epoch milliseconds."""
    last = at_ms // HOP_MS * HOP_MS
    return range(last - WINDOW_MS + HOP_MS, last + 1, HOP_MS)


def in_window(rows: Mapping[int, AppActivity], begin_ms: int) -> AppActivity:
    """The counts of the window that begins there, from the rows of its slices."""
    slices = [
        rows[at_ms] for at_ms in range(begin_ms, begin_ms + WINDOW_MS, HOP_MS) if at_ms in rows
    ]
    first = rows.get(begin_ms) or AppActivity()
    return AppActivity(
        active_subjects=first.active_subjects,
        converting_subjects=first.converting_subjects,
        events=sum(one.events for one in slices),
        conversions=sum(one.conversions for one in slices),
        sessions_started=sum(one.sessions_started for one in slices),
    )


def _in_slices(times_ms: Iterable[int]) -> dict[int, int]:
    """How many of these moments each slice has, by its beginning."""
    slices: dict[int, int] = {}
    for at_ms in times_ms:
        begin_ms = at_ms // HOP_MS * HOP_MS
        slices[begin_ms] = slices.get(begin_ms, 0) + 1
    return slices


def first_in(known: Slices, times_ms: Iterable[int]) -> tuple[Slices, set[int]]:
    """The slices with these moments', and the windows in which they are a subject's first."""
    fresh = {at_ms // HOP_MS for at_ms in times_ms}.difference(known)
    if not fresh:
        return known, set()
    slices, windows = set(known), set[int]()
    for new in sorted(fresh):
        for window in range(new - _HOPS + 1, new + 1):
            if slices.isdisjoint(range(window, window + _HOPS)):
                windows.add(window * HOP_MS)
        slices.add(new)
    return remembered(slices), windows


def remembered(slices: Iterable[int]) -> Slices:
    """The newest slices, of a day at most: older windows are not shown any more."""
    return sorted(slices)[-_MOST_SLICES:]


class Counted(NamedTuple):
    """What events have changed."""

    active: Slices
    converting: Slices
    """The subject's, after."""
    rows: dict[int, AppActivity]
    """Changes, by where the rows' windows and slices begin."""


def counted(
    active: Slices,
    converting: Slices,
    *,
    times_ms: list[int],
    converted_ms: list[int],
    started_before_ms: list[int],
    started_ms: list[int],
) -> Counted:
    """Count a subject's new events.

    Args:
        active: Slices in which it was active before.
        converting: Those in which it had conversions.
        times_ms: When the events were.
        converted_ms: Those of them that are conversions.
        started_before_ms: When sessions began that are changed now; taken out again.
        started_ms: When those sessions, and new ones, begin now.
    """
    active, first = first_in(active, times_ms)
    events, started = _in_slices(times_ms), _moved(started_before_ms, started_ms)
    if not converted_ms and not first and not started:  # as most events are
        usual = {begin_ms: AppActivity(events=count) for begin_ms, count in events.items()}
        return Counted(active, converting, usual)
    converting, first_converting = first_in(converting, converted_ms)
    conversions = _in_slices(converted_ms)
    rows = {
        begin_ms: AppActivity(
            active_subjects=int(begin_ms in first),
            converting_subjects=int(begin_ms in first_converting),
            events=events.get(begin_ms, 0),
            conversions=conversions.get(begin_ms, 0),
            sessions_started=started.get(begin_ms, 0),
        )
        for begin_ms in sorted(first | first_converting | events.keys() | started.keys())
    }
    return Counted(active, converting, rows)


def _moved(before_ms: list[int], after_ms: list[int]) -> dict[int, int]:
    """How many more of these moments each slice has afterwards, where that has changed."""
    if before_ms == after_ms:
        return {}
    slices = _in_slices(after_ms)
    for begin_ms, count in _in_slices(before_ms).items():
        slices[begin_ms] = slices.get(begin_ms, 0) - count
    return {begin_ms: count for begin_ms, count in slices.items() if count}
