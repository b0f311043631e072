"""Which user a subject's events belong to, by the time at which a user was named or logged out.

What counts is the time of the events, not the order of their arrival: an event belongs to the user
that was named last before it, and to nobody after a log-out.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackstream.core.cells import Moment

__all__ = ["UserMark", "marked", "user_at", "user_in"]

UserMark = tuple[int, int, str | None]
"""From this moment on (time in ms, hash of the event id) it is this user; None: nobody."""

_MOST_MARKS = 32


def marked(marks: list[UserMark], at: Moment, user_id: str | None) -> list[UserMark]:
    """The marks with one more, in order of time.

    Of a row of marks of one user the first and the last are kept, and the newest 32 in all: an
    event that comes too late for its marks belongs to whoever the remaining ones say.
    """
    if len(marks) > 1 and marks[-2][2] == marks[-1][2] == user_id and marks[-1][:2] < at:
        return [*marks[:-1], (*at, user_id)]
    after = [*marks]
    insort(after, (*at, user_id), key=_moment)
    kept = [
        mark
        for i, mark in enumerate(after)
        if not (0 < i < len(after) - 1 and after[i - 1][2] == mark[2] == after[i + 1][2])
    ]
    return kept[-_MOST_MARKS:]


def user_at(marks: list[UserMark], at: Moment) -> str | None:
    """The user just before this moment."""
    found = bisect_left(marks, at, key=_moment)
    return marks[found - 1][2] if found else None


def user_in(marks: list[UserMark], start: Moment, end: Moment) -> str | None:
    """The last user that there was in this span."""
    first, last = bisect_left(marks, start, key=_moment), bisect_right(marks, end, key=_moment)
    named = (user for _, _, user in reversed(marks[first:last]) if user is not None)
    return next(named, user_at(marks, start))


def _moment(mark: UserMark) -> Moment:
    return mark[0], mark[1]
