"""Sessions of one subject by event time, in whatever order its events arrive.

The definition, over a subject's events in order of time (the device's own clock):

- a gap strictly greater than 30 minutes begins a new session, as in Google Analytics;
- so does what would make a session longer than 24 hours: activity that goes on without a gap is
  cut so that each session takes in as many whole cells (hours, see `core.cells`) as fit;
- so does an event that names another campaign than the one before it did (a rule, off);
- events that carry a session id of the client's own are one session, whatever their times, where
  the rules honour such ids (off), and no others are in it.

Sessions are cut out of cells, which do not depend on the order of arrival. So a late event may
extend, reopen, join or, by moving a cut, split sessions; the result is that of the sorted events.
A session that was published keeps its id as long as the moment at which it began is in it: of
several that become one the earliest stays, and the others are withdrawn as merged into it.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trackstream.core.cells import Cell, Moment, inserted, joined
from trackstream.core.cuts import coarse, cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trackstream.core.rules import Rules

__all__ = ["Change", "SessionState", "Visit", "add", "find", "revised"]


class SessionState(msgspec.Struct, frozen=True, array_like=True):
    """One session so far."""

    session_id: str
    cells: list[Cell]
    """In order of time; at least one."""
    revision: int = 1
    """The revision last published."""
    changed: bool = False
    """Something has changed since it was last published."""
    closed: bool = False
    client_id: str | None = None
    """The client's own id of it, where these are honoured."""

    @property
    def start(self) -> Moment:
        """Its first event's."""
        return self.cells[0].start

    @property
    def end(self) -> Moment:
        """Its last event's."""
        return self.cells[-1].end


class Visit(NamedTuple):
    """An event to be put into its session."""

    cell: Cell
    client_id: str | None = None


class Change(NamedTuple):
    """What adding events did to a subject's sessions."""

    sessions: list[SessionState]
    """All of them, in order of time."""
    opened: list[SessionState]
    """Those that are new, at revision 1."""
    gone: list[tuple[SessionState, str]]
    """Those that are no more, and the session in which each of them begins now."""
    splits: int
    """How often, in the subject's life, a session was split off another."""


def add(
    sessions: list[SessionState],
    visits: Iterable[Visit],
    *,
    subject: str,
    splits: int,
    rules: Rules,
) -> Change:
    """Add events to a subject's sessions.

    Args:
        sessions: Before, in order of time.
        visits: The events, in any order.
        subject: Whose they are; goes into the ids.
        splits: Of the last change; 0 at first.
        rules: Gap, cap, campaigns, clients' ids.
    """
    timed = [one for one in sessions if one.client_id is None]
    named = [one for one in sessions if one.client_id is not None]
    known = {one.session_id for one in named}
    new: list[Cell] = []
    for cell, client_id in visits:
        if client_id is None:
            new.append(cell)
        else:
            named = _named(named, cell, client_id, subject)
    change = _timed(timed, new, subject, splits, rules) if new else Change(timed, [], [], splits)
    named = [
        one if one.session_id in known else msgspec.structs.replace(one, changed=False)
        for one in named
    ]
    if not named:
        return change
    return change._replace(
        sessions=sorted([*change.sessions, *named], key=lambda one: one.start),
        opened=[*change.opened, *(one for one in named if one.session_id not in known)],
    )


def find(
    sessions: Sequence[SessionState], at: Moment, client_id: str | None
) -> SessionState | None:
    """The session of an event that was added."""
    if client_id is not None:
        return next((one for one in sessions if one.client_id == client_id), None)
    return next(
        (
            one
            for one in reversed(sessions)  # nearly always the last
            if one.client_id is None and one.start <= at <= one.end
        ),
        None,
    )


def revised(one: SessionState) -> SessionState:
    """The session as it is to be published again."""
    return msgspec.structs.replace(one, revision=one.revision + 1, changed=False)


def _named(
    named: list[SessionState], cell: Cell, client_id: str, subject: str
) -> list[SessionState]:
    """The clients' sessions with an event more in the one of this id.

    Two subjects may use the same id (many clients take the time of the start), and one may use it
    again when the session has been forgotten (many clients count). So ours is made of both, and of
    the event that came first: another session under the same id would never be newer.
    """
    before = next((one for one in named if one.client_id == client_id), None)
    if before is None:
        session_id = _digest(subject, "client", client_id, str(cell.start[1]))
        return [*named, SessionState(session_id=session_id, cells=[cell], client_id=client_id)]
    cells = [joined(before.cells[0], cell)]
    after = msgspec.structs.replace(before, cells=cells, changed=True, closed=False)
    return [after if one is before else one for one in named]


def _timed(
    sessions: list[SessionState], new: list[Cell], subject: str, splits: int, rules: Rules
) -> Change:
    """Only what is within reach of the new cells is cut anew; the rest stays as it is."""
    longer = _longer(sessions, new, rules)
    if longer is not None:
        return Change(longer, [], [], splits)
    earlier, near, later = _near(sessions, new, rules.session_gap_ms)
    kept: list[SessionState] = []
    opened: list[SessionState] = []
    gone: list[tuple[SessionState, str]] = []
    fresh = {one.start for one in new}
    for before, cells in _runs(near, new, rules.session_gap_ms):
        if not cells:
            kept += before
            continue
        held = reduce(
            lambda held, cell: inserted(held, cell, rules=rules),
            cells,
            [cell for one in before for cell in one.cells],
        )
        cuts = cut(held, rules)
        claims = _claims(before, [one[0].start for one in cuts])
        for part, claimants in zip(cuts, claims, strict=True):
            if claimants:
                first, *others = claimants
                kept.append(_now(first, part))
                gone += [(one, first.session_id) for one in others]
                continue
            begins = part[0].start
            splits += begins not in fresh
            # A moment that begins a session for the second time makes another id than before.
            words = (str(begins[1]),) if begins in fresh else (str(begins[1]), str(splits))
            opened.append(SessionState(session_id=_digest(subject, *words), cells=coarse(part)))
    around = sorted([*kept, *opened], key=lambda one: one.start)
    return Change([*earlier, *around, *later], opened, gone, splits)


def _longer(
    sessions: list[SessionState], new: list[Cell], rules: Rules
) -> list[SessionState] | None:
    """The sessions when the last one just goes on, as it nearly always does; None: it does not."""
    if not sessions or rules.session_per_campaign:
        return None
    last = sessions[-1]
    cells = list(last.cells)
    for cell in sorted(new, key=_start):
        tail = cells.pop()
        if (
            cell.start <= tail.end
            or cell.start[0] - tail.end[0] > rules.session_gap_ms
            or cell.end[0] - last.start[0] > rules.session_cap_ms
        ):
            return None
        cells += inserted([tail], cell, rules=rules)
    return [
        *sessions[:-1],
        msgspec.structs.replace(last, cells=coarse(cells), changed=True, closed=False),
    ]


def _start(cell: Cell) -> Moment:
    return cell.start


def _near(
    sessions: list[SessionState], new: list[Cell], gap_ms: int
) -> tuple[list[SessionState], list[SessionState], list[SessionState]]:
    """The sessions before, within and after reach of the new cells."""
    first_ms = min(one.start[0] for one in new) - gap_ms
    last_ms = max(one.end[0] for one in new) + gap_ms
    begin = bisect_left(sessions, first_ms, key=lambda one: one.end[0])
    end = bisect_right(sessions, last_ms, key=lambda one: one.start[0])
    # A session that was cut goes on in the next one, without a gap.
    while begin > 0 and sessions[begin - 1].end[0] >= _start_ms(sessions, begin) - gap_ms:
        begin -= 1
    while 0 < end < len(sessions) and sessions[end].start[0] <= sessions[end - 1].end[0] + gap_ms:
        end += 1
    return sessions[:begin], sessions[begin:end], sessions[end:]


def _start_ms(sessions: list[SessionState], index: int) -> float:
    return sessions[index].start[0] if index < len(sessions) else float("inf")


def _runs(
    sessions: list[SessionState], new: list[Cell], gap_ms: int
) -> list[tuple[list[SessionState], list[Cell]]]:
    """Sessions and new cells in stretches without a gap."""
    pieces: list[tuple[Moment, Moment, SessionState | None, Cell | None]] = [
        *((one.start, one.end, one, None) for one in sessions),
        *((one.start, one.end, None, one) for one in new),
    ]
    runs: list[tuple[list[SessionState], list[Cell]]] = []
    ended_ms: int | None = None
    for start, end, session, cell in sorted(pieces, key=lambda piece: piece[0]):
        if ended_ms is None or start[0] - ended_ms > gap_ms:
            runs.append(([], []))
            ended_ms = end[0]
        ended_ms = max(ended_ms, end[0])
        if session is not None:
            runs[-1][0].append(session)
        if cell is not None:
            runs[-1][1].append(cell)
    return runs


def _claims(before: list[SessionState], starts: list[Moment]) -> list[list[SessionState]]:
    """For each cut, the sessions that began in it, earliest first."""
    claims: list[list[SessionState]] = [[] for _ in starts]
    for one in before:
        claims[bisect_right(starts, one.start) - 1].append(one)
    return claims


def _now(before: SessionState, cells: list[Cell]) -> SessionState:
    if before.cells == cells:
        return before
    return msgspec.structs.replace(before, cells=coarse(cells), changed=True, closed=False)


def _digest(subject: str, *words: str) -> str:
    return hashlib.blake2b("|".join((subject, *words)).encode(), digest_size=16).hexdigest()
