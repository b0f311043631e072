"""One POST's events of one subject, applied to what is remembered of that subject.

Safe to run twice: state carries the last applied source offset, and every remembered event id the
offset that brought it. A client's retry (the same id at another offset) is dropped; a replay (the
same offset again) is not applied again, but its outputs are made again, with the same ids.

Sessions and users are kept by the device's own clock, whose error shifts all of them alike: so they
do not depend on when the error became known. See docs/decisions/sessions.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackstream.core import sessions
from trackstream.core.activity import AppActivity, counted
from trackstream.core.cells import Moment, cell_of, mark
from trackstream.core.enrichment import clock_offset_ms, device_ms, enriched
from trackstream.core.funnel_progress import Changes, follow
from trackstream.core.identifiers import person_of
from trackstream.core.last_touch import came_by, in_use
from trackstream.core.live_funnels import NO_FUNNELS, LiveFunnels
from trackstream.core.matching.ask import conversion_of, is_conversion, probes_of
from trackstream.core.naming import first_of_each, linked, told
from trackstream.core.privacy import private_event
from trackstream.core.records import Envelope, Event, Link, PersonLink, Probe, RawEvent, Session
from trackstream.core.seen import Seen
from trackstream.core.sessions import Visit
from trackstream.core.users import UserMark, marked, user_at
from trackstream.core.visitor import (
    VisitorState,
    due_ms,
    kept,
    learnt,
    passed,
    person_in,
    record_of,
)

if TYPE_CHECKING:
    from trackstream.core.lookups import Place, UserAgent
    from trackstream.core.rules import Rules

__all__ = ["VisitOutcome", "VisitorState", "due_ms", "learnt", "passed", "visit"]


class VisitOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What goes out of one envelope."""

    events: list[Event] = []
    sessions: list[Session] = []
    links: list[Link] = []
    probes: list[Probe] = []
    persons: list[PersonLink] = []
    activity: dict[int, AppActivity] = {}
    """Changes of the app's windows, by where they begin; none in a replay."""
    funnels: Changes = {}
    """Changes of the counts of its funnels; none in a replay."""
    duplicates: int = 0
    """Events dropped because another message had brought their id before."""


def visit(
    state: VisitorState | None,
    envelope: Envelope,
    *,
    offset: int,
    place: Place,
    user_agent: UserAgent,
    rules: Rules,
    funnels: LiveFunnels = NO_FUNNELS,
) -> tuple[VisitorState, VisitOutcome]:
    """Apply one envelope to its subject's state.

    Args:
        state: the state before, None for a subject never seen.
        envelope: from the topic `raw`.
        offset: its offset in its partition, which orders it among its subject's envelopes.
        place: where `envelope.ip` is.
        user_agent: `envelope.user_agent`, parsed.
        rules: gaps, bounds, conversions.
        funnels: of the app, that are counted live.

    Returns:
        The state after, and what to send: each event once, sessions that opened or were merged
        into others, links and probes for the identity log, and what it says of who is whom.
    """
    before = state or VisitorState(app_id=envelope.app_id, subject=envelope.subject)
    replay = offset <= before.applied
    raws = _new(before, envelope, offset)
    after = msgspec.structs.replace(
        before,
        applied=max(offset, before.applied),
        clock_offset_ms=clock_offset_ms(before.clock_offset_ms, envelope),
        recent=_remembered(before, raws, offset, rules),
        touches=before.touches
        if replay
        else in_use(before.touches, now_ms=envelope.received_at_ms, rules=rules),
    )
    times = [
        device_ms(r.timestamp_ms, envelope, error_ms=after.error_ms, rules=rules) for r in raws
    ]
    moments = [(at_ms, mark(raw.event_id)) for at_ms, raw in zip(times, raws, strict=True)]
    after = msgspec.structs.replace(after, users=_users(after.users, raws, moments, rules))
    seen = [
        Seen(
            raw,
            at,
            _event(
                raw,
                at,
                envelope,
                after,
                offset=offset,
                place=place,
                user_agent=user_agent,
                rules=rules,
            ),
            raw.session_id if rules.client_sessions else None,
        )
        for raw, at in zip(raws, moments, strict=True)
    ]
    if replay:
        records, activity = _sat_again(after, seen), dict[int, AppActivity]()
    else:
        after, records, activity = _sat(before, after, seen, rules)
    naming = first_of_each(seen)
    after, links = linked(after, naming, everything=replay)
    after, persons = told(after, naming, everything=replay)
    events = [private_event(_in_session(one, after), rules.ip_privacy) for one in seen]
    progress: Changes = {}
    if not replay and (funnels or after.funnels):
        known, progress = follow(
            after.funnels, funnels, events, sessions=records, at_ms=envelope.received_at_ms
        )
        after = msgspec.structs.replace(after, funnels=known)
    return after, VisitOutcome(
        events=events,
        sessions=records,
        links=links,
        probes=[
            probe
            for one in seen
            if (conversion := conversion_of(one.raw, one.event, rules=rules))
            for probe in probes_of(conversion)
        ],
        persons=persons,
        activity=activity,
        funnels=progress,
        duplicates=len(envelope.events) - len(raws),
    )


def _new(state: VisitorState, envelope: Envelope, offset: int) -> list[RawEvent]:
    """The envelope's events that no other message has brought, each id once."""
    once = {mark(raw.event_id): raw for raw in reversed(envelope.events)}
    return [
        raw
        for raw in envelope.events
        if once[name := mark(raw.event_id)] is raw and state.recent.get(name, offset) == offset
    ]


def _remembered(
    state: VisitorState, raws: list[RawEvent], offset: int, rules: Rules
) -> dict[int, int]:
    recent = state.recent | {mark(raw.event_id): offset for raw in raws}
    surplus = len(recent) - rules.max_recent_events
    return dict(list(recent.items())[surplus:]) if surplus > 0 else recent


def _users(
    users: list[UserMark], raws: list[RawEvent], moments: list[Moment], rules: Rules
) -> list[UserMark]:
    for raw, at in zip(raws, moments, strict=True):
        if raw.event in rules.logout_events:
            users = marked(users, at, None)
        elif raw.user_id is not None:
            users = marked(users, at, raw.user_id)
    return users


def _event(
    raw: RawEvent,
    at: Moment,
    envelope: Envelope,
    state: VisitorState,
    *,
    offset: int,
    place: Place,
    user_agent: UserAgent,
    rules: Rules,
) -> Event:
    user_id = raw.user_id or user_at(state.users, at)
    at_ms = at[0] + state.error_ms
    return enriched(
        raw,
        envelope,
        at_ms=at_ms,
        person=person_of(
            user_id=user_id,
            device_id=raw.device_id,
            cookie_id=raw.cookie_id,
            subject=envelope.subject,
        ),
        user_id=user_id,
        touch=came_by(
            state.touches,
            at_ms=at_ms,
            received_at_ms=envelope.received_at_ms,
            offset=offset,
            rules=rules,
        ),
        place=place,
        user_agent=user_agent,
        rules=rules,
    )


def _sat(
    before: VisitorState, after: VisitorState, seen: list[Seen], rules: Rules
) -> tuple[VisitorState, list[Session], dict[int, AppActivity]]:
    """The events put into sessions; records of what opened or was merged away; what it counts."""
    visits = [
        Visit(
            cell_of(one.event, at=one.at, converted=is_conversion(one.event.event, rules)),
            one.client_id,
        )
        for one in seen
    ]
    change = sessions.add(
        before.sessions, visits, subject=after.subject, splits=after.splits, rules=rules
    )
    now = msgspec.structs.replace(after, sessions=change.sessions, splits=change.splits)
    news = _news(before, now, seen, rules) - {one.session_id for one in change.opened}
    held = [
        msgspec.structs.replace(one, changed=True) if one.session_id in news else one
        for one in change.sessions
    ]
    now, activity = _counted(before, now, seen, rules)
    newest_ms = max([before.newest_ms, *(one.at[0] for one in seen)])
    now = msgspec.structs.replace(now, sessions=kept(held, newest_ms, rules), newest_ms=newest_ms)
    merged = [
        record_of(now, sessions.revised(one), merged_into=survivor) for one, survivor in change.gone
    ]
    return now, [*merged, *(record_of(now, one) for one in change.opened)], activity


def _news(before: VisitorState, after: VisitorState, seen: list[Seen], rules: Rules) -> set[str]:
    """Sessions of which something else was published than what is known of the subject by now."""
    if before.error_ms != after.error_ms:
        return {one.session_id for one in after.sessions}
    named = [one.at for one in seen if one.raw.user_id or one.raw.event in rules.logout_events]
    first = min(named, default=None)
    return {
        one.session_id
        for one in after.sessions
        if first is not None
        and one.end >= first
        and person_in(before, one) != person_in(after, one)
    }


def _counted(
    before: VisitorState, after: VisitorState, seen: list[Seen], rules: Rules
) -> tuple[VisitorState, dict[int, AppActivity]]:
    """What the app's windows count of these events."""
    same = before.error_ms == after.error_ms
    stay = {id(one) for one in before.sessions} & {id(one) for one in after.sessions if same}
    change = counted(
        before.active,
        before.converting,
        times_ms=[one.event.timestamp_ms for one in seen],
        converted_ms=[
            one.event.timestamp_ms for one in seen if is_conversion(one.event.event, rules)
        ],
        started_before_ms=[
            one.start[0] + before.error_ms for one in before.sessions if id(one) not in stay
        ],
        started_ms=[one.start[0] + after.error_ms for one in after.sessions if id(one) not in stay],
    )
    return msgspec.structs.replace(
        after, active=change.active, converting=change.converting
    ), change.windows


def _sat_again(state: VisitorState, seen: list[Seen]) -> list[Session]:
    """A replay changes nothing: the sessions that its events are in are published as they are."""
    touched = {
        one.session_id: one
        for event in seen
        if (one := sessions.find(state.sessions, event.at, event.client_id))
    }
    return [record_of(state, one) for one in touched.values()]


def _in_session(one: Seen, state: VisitorState) -> Event:
    found = sessions.find(state.sessions, one.at, one.client_id)
    return msgspec.structs.replace(one.event, session_id=found.session_id if found else "")
