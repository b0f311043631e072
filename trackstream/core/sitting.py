"""A subject's new events are put into its sessions, and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trackstream.core import sessions
from trackstream.core.activity import AppActivity, Counted, counted
from trackstream.core.cells import cell_of
from trackstream.core.matching.ask import is_conversion
from trackstream.core.session_bounds import kept
from trackstream.core.sessions import Change, SessionState, Visit
from trackstream.core.visitor import VisitorState, person_in, record_of

if TYPE_CHECKING:
    from trackstream.core.records import Event, Session
    from trackstream.core.rules import Rules
    from trackstream.core.seen import Seen

__all__ = ["Sat", "in_session", "sat", "sat_again"]


class Sat(NamedTuple):
    """What putting events into sessions comes to."""

    state: VisitorState
    records: list[Session]
    """Those to publish: of what opened, was merged away, or is not kept."""
    activity: dict[int, AppActivity]
    """What it counts in the app's windows."""
    sessions: list[SessionState]
    """All that the events may be in, kept or not."""


def sat(before: VisitorState, after: VisitorState, seen: list[Seen], rules: Rules) -> Sat:
    """The events put into sessions.

    Args:
        before: The subject's state before the events.
        after: The same with what they say of its clock and its users.
        seen: The events.
        rules: What ends a session, what is a conversion.
    """
    converted = [is_conversion(one.event.event, rules) for one in seen]
    change = sessions.add(
        before.sessions,
        [
            Visit(
                cell_of(
                    one.event,
                    at=one.at,
                    converted=converts,
                    names_user=None if one.raw.event in rules.logout_events else one.raw.user_id,
                ),
                one.client_id,
            )
            for one, converts in zip(seen, converted, strict=True)
        ],
        subject=after.subject,
        splits=after.splits,
        rules=rules,
    )
    held = change.sessions
    news = _news(before, after, held, seen, rules)
    news.difference_update(one.session_id for one in change.opened)
    if news:
        held = [
            msgspec.structs.replace(one, changed=True) if one.session_id in news else one
            for one in held
        ]
    newest_ms = max([before.newest_ms, *(one.at[0] for one in seen)])
    counts = _counted(before, after, change.sessions, seen, converted)
    bounded = kept(held, newest_ms, rules)
    now = msgspec.structs.replace(
        after,
        sessions=bounded.sessions,
        splits=change.splits,
        newest_ms=newest_ms,
        active=counts.active,
        converting=counts.converting,
    )
    records: list[Session] = []
    if change.opened or change.gone or bounded.gone:
        records = _records(now, change, bounded.gone)
    return Sat(now, records, counts.rows, change.sessions)


def _records(now: VisitorState, change: Change, beyond: list[SessionState]) -> list[Session]:
    """What is published of sessions that opened, were merged away, or are not kept."""
    merged = [
        record_of(now, sessions.revised(one), merged_into=survivor) for one, survivor in change.gone
    ]
    new = {one.session_id for one in change.opened}
    gone = {one.session_id for one in beyond}
    ended = [sessions.revised(one) if one.session_id not in new else one for one in beyond]
    return [
        *merged,
        *(record_of(now, one) for one in change.opened if one.session_id not in gone),
        *(record_of(now, msgspec.structs.replace(one, closed=True)) for one in ended),
    ]


def _news(
    before: VisitorState,
    after: VisitorState,
    now: list[SessionState],
    seen: list[Seen],
    rules: Rules,
) -> set[str]:
    """Sessions of which something else was published than what is known of the subject by now."""
    if before.error_ms != after.error_ms:
        return {one.session_id for one in now}
    if before.users == after.users:
        return set()
    first = min(
        one.at
        for one in seen
        if one.raw.user_id is not None or one.raw.event in rules.logout_events
    )
    return {
        one.session_id
        for one in now
        if one.end >= first and person_in(before, one) != person_in(after, one)
    }


def _counted(
    before: VisitorState,
    after: VisitorState,
    now: list[SessionState],
    seen: list[Seen],
    converted: list[bool],
) -> Counted:
    """What the app's windows count of these events."""
    was_ms, is_ms = before.error_ms, after.error_ms
    same = 0  # so many of the first sessions are as they were: what they count cancels out
    if was_ms == is_ms:
        for one, is_now in zip(before.sessions, now, strict=False):
            if one is not is_now:
                break
            same += 1
    times_ms = [one.event.timestamp_ms for one in seen]
    return counted(
        before.active,
        before.converting,
        times_ms=times_ms,
        converted_ms=[at for at, converts in zip(times_ms, converted, strict=True) if converts],
        started_before_ms=[one.start[0] + was_ms for one in before.sessions[same:]],
        started_ms=[one.start[0] + is_ms for one in now[same:]],
    )


def sat_again(state: VisitorState, seen: list[Seen]) -> list[Session]:
    """A replay changes nothing: the sessions that its events are in are published as they are."""
    touched = {
        one.session_id: one
        for event in seen
        if (one := sessions.find(state.sessions, event.at, event.client_id))
    }
    return [record_of(state, one) for one in touched.values()]


def in_session(one: Seen, among: list[SessionState]) -> Event:
    """The event, with the session that it is in."""
    found = sessions.find(among, one.at, one.client_id)
    return msgspec.structs.replace(one.event, session_id=found.session_id if found else "")
