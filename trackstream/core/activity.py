"""What goes on in an app, in windows of 30 minutes that begin every 5.

A subject remembers in which slices of 5 minutes it was active, so it knows for each window whether
an event is its first there. A count of active subjects is thus exact and needs no set: it is a
number that each subject has counted up once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "HOP_MS",
    "WINDOW_MS",
    "AppActivity",
    "Counted",
    "Slices",
    "counted",
    "first_in",
    "in_windows",
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
    """Counts of one window; also a change of them."""

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


def in_windows(times_ms: Iterable[int]) -> dict[int, int]:
    """How many of these moments each window has, by its beginning."""
    slices: dict[int, int] = {}
    for at_ms in times_ms:
        begin_ms = at_ms // HOP_MS * HOP_MS
        slices[begin_ms] = slices.get(begin_ms, 0) + 1
    windows: dict[int, int] = {}
    for begin_ms, count in slices.items():
        for window in windows_of(begin_ms):
            windows[window] = windows.get(window, 0) + count
    return windows


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
    windows: dict[int, AppActivity]
    """Changes, by where the windows begin."""


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
    converting, first_converting = first_in(converting, converted_ms)
    events, conversions = in_windows(times_ms), in_windows(converted_ms)
    started = _moved(started_before_ms, started_ms)
    changes = {
        window: AppActivity(
            active_subjects=int(window in first),
            converting_subjects=int(window in first_converting),
            events=events.get(window, 0),
            conversions=conversions.get(window, 0),
            sessions_started=started.get(window, 0),
        )
        for window in sorted(events.keys() | started.keys())
    }
    return Counted(active, converting, changes)


def _moved(before_ms: list[int], after_ms: list[int]) -> dict[int, int]:
    """How many more of these moments each window has afterwards, where that has changed."""
    if before_ms == after_ms:
        return {}
    windows = in_windows(after_ms)
    for window, count in in_windows(before_ms).items():
        windows[window] = windows.get(window, 0) - count
    return {window: count for window, count in windows.items() if count}
