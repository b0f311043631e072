"""One POST's events of one subject, applied to what is remembered of that subject.

Safe to run twice: state carries the last applied source offset, and every remembered event id the
offset that brought it. A client's retry (the same id at another offset) is dropped; a replay (the
same offset again) is not applied again, but its outputs are made again, with the same ids.

Sessions and users are kept by the device's own clock, whose error shifts all of them alike: so they
do not depend on when the error became known. See docs/decisions/sessions.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trackstream.core import sessions
from trackstream.core.activity import AppActivity, counted
from trackstream.core.cells import Moment, cell_of, mark
from trackstream.core.enrichment import clock_offset_ms, device_ms, enriched
from trackstream.core.identifiers import event_identifiers, person_of
from trackstream.core.matching.ask import conversion_of, is_conversion, links_of, probes_of
from trackstream.core.persons import person_links
from trackstream.core.privacy import private_event
from trackstream.core.records import Envelope, Event, Link, PersonLink, Probe, RawEvent, Session
from trackstream.core.sessions import Visit
from trackstream.core.users import UserMark, marked, user_at
from trackstream.core.visitor import VisitorState, due_ms, kept, passed, person_in, record_of

if TYPE_CHECKING:
    from trackstream.core.lookups import Place, UserAgent
    from trackstream.core.rules import Rules

__all__ = ["VisitOutcome", "VisitorState", "due_ms", "passed", "visit"]

_MOST_LINKS = 64


class VisitOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What goes out of one envelope."""

    events: list[Event] = []
    sessions: list[Session] = []
    links: list[Link] = []
    probes: list[Probe] = []
    persons: list[PersonLink] = []
    activity: dict[int, AppActivity] = {}
    """Changes of the app's windows, by where they begin; none in a replay."""
    duplicates: int = 0
    """Events dropped because another message had brought their id before."""


class _Seen(NamedTuple):
    """A new event, as it came and as it goes out."""

    raw: RawEvent
    at: Moment
    """By the device's clock."""
    event: Event
    client_id: str | None
    """The client's session id, where it is honoured."""


def visit(
    state: VisitorState | None,
    envelope: Envelope,
    *,
    offset: int,
    place: Place,
    user_agent: UserAgent,
    rules: Rules,
) -> tuple[VisitorState, VisitOutcome]:
    """Apply one envelope to its subject's state.

    Args:
        state: the state before, None for a subject never seen.
        envelope: from the topic `raw`.
        offset: its offset in its partition, which orders it among its subject's envelopes.
        place: where `envelope.ip` is.
        user_agent: `envelope.user_agent`, parsed.
        rules: gaps, bounds, conversions.

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
    )
    times = [
        device_ms(r.timestamp_ms, envelope, error_ms=after.error_ms, rules=rules) for r in raws
    ]
    moments = [(at_ms, mark(raw.event_id)) for at_ms, raw in zip(times, raws, strict=True)]
    after = msgspec.structs.replace(after, users=_users(after.users, raws, moments, rules))
    seen = [
        _Seen(
            raw,
            at,
            _event(raw, at, envelope, after, place=place, user_agent=user_agent, rules=rules),
            raw.session_id if rules.client_sessions else None,
        )
        for raw, at in zip(raws, moments, strict=True)
    ]
    if replay:
        records, activity = _sat_again(after, seen), dict[int, AppActivity]()
    else:
        after, records, activity = _sat(before, after, seen, rules)
    naming = _naming(seen)
    after, links = _linked(after, naming, everything=replay)
    after, persons = _told(after, naming, everything=replay)
    return after, VisitOutcome(
        events=[private_event(_in_session(one, after), rules.ip_privacy) for one in seen],
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
    place: Place,
    user_agent: UserAgent,
    rules: Rules,
) -> Event:
    user_id = raw.user_id or user_at(state.users, at)
    return enriched(
        raw,
        envelope,
        at_ms=at[0] + state.error_ms,
        person=person_of(
            user_id=user_id,
            device_id=raw.device_id,
            cookie_id=raw.cookie_id,
            subject=envelope.subject,
        ),
        user_id=user_id,
        place=place,
        user_agent=user_agent,
        rules=rules,
    )


def _sat(
    before: VisitorState, after: VisitorState, seen: list[_Seen], rules: Rules
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


def _news(before: VisitorState, after: VisitorState, seen: list[_Seen], rules: Rules) -> set[str]:
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
    before: VisitorState, after: VisitorState, seen: list[_Seen], rules: Rules
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


def _sat_again(state: VisitorState, seen: list[_Seen]) -> list[Session]:
    """A replay changes nothing: the sessions that its events are in are published as they are."""
    touched = {
        one.session_id: one
        for event in seen
        if (one := sessions.find(state.sessions, event.at, event.client_id))
    }
    return [record_of(state, one) for one in touched.values()]


def _naming(seen: list[_Seen]) -> list[_Seen]:
    """The earliest event of each set of identifiers: the others say the same of who is whom."""
    first: dict[tuple[str | None, ...], _Seen] = {}
    for one in seen:
        raw = one.raw
        alias = raw.event_id if raw.event == "alias" else None
        ids = (raw.user_id, raw.device_id, raw.cookie_id, raw.gaid, raw.idfa, raw.idfv, alias)
        if ids not in first or one.at < first[ids].at:
            first[ids] = one
    return list(first.values())


def _linked(
    state: VisitorState, seen: list[_Seen], *, everything: bool
) -> tuple[VisitorState, list[Link]]:
    """Links not written before; all of them again in a replay."""
    linked, links = dict.fromkeys(state.linked), list[Link]()
    for one in seen:
        for link in links_of(one.raw, app_id=state.app_id, at_ms=one.event.timestamp_ms):
            pair = mark(f"{link.identifier} {link.other}")
            if everything or pair not in linked:
                links.append(link)
            linked[pair] = None
    return msgspec.structs.replace(state, linked=list(linked)[-_MOST_LINKS:]), links


def _told(
    state: VisitorState, seen: list[_Seen], *, everything: bool
) -> tuple[VisitorState, list[PersonLink]]:
    """Person links not written before, or not with so early a time; all again in a replay."""
    told, links = dict(state.told), list[PersonLink]()
    for one in seen:
        identifiers = [i for i in event_identifiers(one.raw) if not i.startswith("click:")]
        for link in person_links(
            one.raw,
            identifiers,
            app_id=state.app_id,
            subject=state.subject.partition("|")[2],
            at_ms=one.event.timestamp_ms,
        ):
            name = mark(f"{link.kind} {link.identifier} {link.other}")
            known_ms = told.get(name)
            if everything or known_ms is None or link.at_ms < known_ms:
                links.append(link)
            told[name] = link.at_ms if known_ms is None else min(known_ms, link.at_ms)
    return msgspec.structs.replace(state, told=dict(list(told.items())[-_MOST_LINKS:])), links


def _in_session(one: _Seen, state: VisitorState) -> Event:
    found = sessions.find(state.sessions, one.at, one.client_id)
    return msgspec.structs.replace(one.event, session_id=found.session_id if found else "")
