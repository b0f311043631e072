"""Which user a subject's events belong to, by the time at which a user was named or logged out.

What counts is the time of the events, not the order of their arrival: an event belongs to the user
that was named last before it, and to nobody after a log-out.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from trackstream.core.rules import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.core.cells import Moment

__all__ = ["UserMark", "at_once", "marked", "user_at"]

UserMark = tuple[int, int, str | None]
"""From this moment on (time in ms, hash of the event id) it is this user; None: nobody."""

_SLOT_MS = 30 * 60_000
"""Of marks within it little is lost: sessions, which are further apart, do not share one."""
_BOUNDS = ((_SLOT_MS, 16), (DAY_MS, 8))
"""Users of the newest half-hours with any, and of the newest days; nobody counts as one."""


def marked(marks: list[UserMark], new: list[UserMark]) -> list[UserMark]:
    """The marks with new ones, in order of time.

    Of each user the first and the last mark of a half-hour are kept, for the newest half-hours in
    which there are any, and the first and the last of a day, for the newest days. What is kept
    follows from the set of all marks, in whatever order and company they came: a slot of time that
    has gone has gone for ever, and first and last of what is kept are first and last of all.
    """
    if not new:
        return marks
    if len(marks) > 1 and _goes_on(marks, new):
        return [*marks[:-1], max(new)]
    every = at_once(marks, new)
    kept = {one for width_ms, most in _BOUNDS for one in _ends(every, width_ms, most)}
    return sorted(kept, key=_order)


def at_once(marks: list[UserMark], new: list[UserMark]) -> list[UserMark]:
    """All of them, in order of time, each once."""
    return sorted({*marks, *new}, key=_order) if new else marks


def _goes_on(marks: list[UserMark], new: list[UserMark]) -> bool:
    """Whether the last of these replaces the last mark, as is usual: of a row in a half-hour."""
    before, last = marks[-2:]
    slot = before[0] // _SLOT_MS
    return all(
        one[2] == last[2] and one[:2] > last[:2] and one[0] // _SLOT_MS == slot for one in new
    ) and (before[2] == last[2])


def _ends(marks: Iterable[UserMark], width_ms: int, most: int) -> list[UserMark]:
    """First and last mark of each user in each slot of this width, of the last so many of these.

    Slots are chosen by what never changes of them. By the time of a mark in them, one might go
    that would have stayed if another had come before it.
    """
    slots: dict[tuple[int, str], tuple[UserMark, UserMark]] = {}
    for one in marks:
        slot = (one[0] // width_ms, _name(one[2]))
        first, _ = slots.get(slot, (one, one))
        slots[slot] = first, one
    return [one for slot in sorted(slots)[-most:] for one in slots[slot]]


def user_at(marks: list[UserMark], at: Moment) -> str | None:
    """The user just before this moment."""
    found = bisect_left(marks, at, key=_moment)
    return marks[found - 1][2] if found else None


def _order(mark: UserMark) -> tuple[int, int, str]:
    """By time; two of one moment, which an id sent twice can make, are in some order, too."""
    return mark[0], mark[1], _name(mark[2])


def _name(user_id: str | None) -> str:
    """Text that stands for a user, or for nobody."""
    return "" if user_id is None else f"={user_id}"


def _moment(mark: UserMark) -> Moment:
    return mark[0], mark[1]
