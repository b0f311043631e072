"""What is remembered of one subject, and what the passing of time does to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackstream.core.activity import Slices
from trackstream.core.clocks import Clock, clock_error_ms
from trackstream.core.funnel_progress import Followed
from trackstream.core.identifiers import person_of
from trackstream.core.last_touch import TouchMark, told, touched
from trackstream.core.records import Touch
from trackstream.core.session_records import published
from trackstream.core.sessions import SessionState, revised
from trackstream.core.users import UserMark, user_at

if TYPE_CHECKING:
    from trackstream.core.records import Outcome, Session
    from trackstream.core.rules import Rules

__all__ = ["Request", "VisitorState", "due_ms", "learnt", "passed", "person_in", "record_of"]


Request = tuple[int, int]
"""When it came, and the offset of its first envelope: a large one is several."""


class VisitorState(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of one subject."""

    app_id: str
    subject: str
    applied: int = -1
    """Source offset of the last envelope applied."""
    clock_offset_ms: int | None = None
    """Least (arrival - sent_at) over the requests of its first clock."""
    users: list[UserMark] = []
    recent: dict[int, int] = {}
    """64-bit hash of an event id -> the offset that brought it; oldest first, bounded."""
    linked: list[int] = []
    """Hashes of the links already written."""
    told: dict[int, int] = {}
    """Hashes of the person links already written -> their time, which only becomes earlier."""
    sessions: list[SessionState] = []
    splits: int = 0
    newest_ms: int = 0
    """Of its events, by the device's first clock, as are all times here."""
    active: Slices = []
    converting: Slices = []
    """Slices of 5 minutes in which it had events, and conversions."""
    touches: list[TouchMark] = []
    """By which it came, as far as is known: see `core.last_touch`."""
    funnels: dict[str, Followed] = {}
    """How far it has come in its app's funnels, by their names."""
    clocks: list[Clock] = []
    """Other clocks than the first that it was heard to have."""
    requests: list[Request] = []
    """The last two that brought events which it did not have."""

    @property
    def error_ms(self) -> int:
        """What to add to times by the device's first clock."""
        return clock_error_ms(self.clock_offset_ms)


def due_ms(state: VisitorState, *, rules: Rules) -> int | None:
    """From when on a tick has work here, epoch milliseconds; 0: at once; None: not at all."""
    waiting = [one for one in state.sessions if one.changed or not one.closed]
    if any(one.changed for one in waiting):
        return 0
    idle = min((one.end[0] for one in waiting), default=None)
    return None if idle is None else idle + state.error_ms + rules.session_gap_ms + 1


def passed(state: VisitorState, *, at_ms: int, rules: Rules) -> tuple[VisitorState, list[Session]]:
    """What the passing of time does: idle sessions close, changed ones are published.

    Args:
        state: the state before.
        at_ms: now, epoch milliseconds.
        rules: the gap; how long closed sessions are remembered for late events.

    Returns:
        The state after, and the sessions to publish.
    """
    kept: list[SessionState] = []
    records: list[Session] = []
    for one in state.sessions:
        idle_ms = at_ms - one.end[0] - state.error_ms
        closes = not one.closed and idle_ms > rules.session_gap_ms
        now = one
        if closes or one.changed:
            now = msgspec.structs.replace(revised(one), closed=one.closed or closes)
            records.append(record_of(state, now))
        kept.append(now)
    return msgspec.structs.replace(state, sessions=kept), records


def learnt(
    state: VisitorState | None, news: Touch | Outcome, *, subject: str, offset: int
) -> VisitorState | None:
    """What is remembered after a touch of the subject, or a decision of a conversion of it.

    Args:
        state: the state before, None for a subject never seen: one that clicked may have no events.
        news: from the topic `raw`.
        subject: whose it is.
        offset: its offset in its partition; one already applied is a replay.

    Returns:
        The state after; the same, if nothing is new.
    """
    before = state or VisitorState(app_id=news.app_id, subject=subject)
    if offset <= before.applied:
        return state
    if isinstance(news, Touch):
        touches = touched(before.touches, news, offset=offset)
    else:
        touches = told(before.touches, news, offset=offset)
    if touches is before.touches:
        return state
    return msgspec.structs.replace(before, applied=offset, touches=touches)


def person_in(state: VisitorState, one: SessionState) -> str:
    """The session's person: the last user named in it, else who it was before, else the subject."""
    named = max((cell.user for cell in one.cells if cell.user), default=None)
    user_id = named[2] if named else user_at(state.users, one.start)
    return person_of(user_id=user_id, device_id=None, cookie_id=None, subject=state.subject)


def record_of(state: VisitorState, one: SessionState, *, merged_into: str | None = None) -> Session:
    """What is published of a session, as everything is known by now."""
    open_or_closed = "closed" if one.closed else "open"
    return published(
        one,
        app_id=state.app_id,
        subject=state.subject,
        person=person_in(state, one),
        status=open_or_closed if merged_into is None else "merged",
        clock_error_ms=state.error_ms,
        merged_into=merged_into,
    )
