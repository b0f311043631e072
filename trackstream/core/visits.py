"""One POST's events of one subject, applied to what is remembered of that subject.

Safe to run twice: state carries the last applied source offset, and every remembered event id the
offset that brought it. A client's retry (the same id at another offset) is dropped; a replay (the
same offset again) is not applied again, but its outputs are made again, with the same ids.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from trackstream.core import sessions
from trackstream.core.enrichment import clock_offset_ms, enriched
from trackstream.core.identifiers import person_of
from trackstream.core.matching.ask import conversion_of, is_conversion, links_of, probes_of
from trackstream.core.records import Envelope, Event, Link, Probe, RawEvent, Session
from trackstream.core.sessions import SessionState

if TYPE_CHECKING:
    from trackstream.core.lookups import Place, UserAgent
    from trackstream.core.rules import Rules

__all__ = ["VisitOutcome", "VisitorState", "due_ms", "passed", "visit"]

_MOST_LINKS = 64


class VisitorState(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of one subject."""

    app_id: str
    subject: str
    applied: int = -1
    """Source offset of the last envelope applied."""
    clock_offset_ms: int | None = None
    """Least (arrival - sent_at) over its requests."""
    user_id: str | None = None
    person: str = ""
    recent: dict[int, int] = {}
    """64-bit hash of an event id -> the offset that brought it; oldest first, bounded."""
    linked: list[int] = []
    """Hashes of the links already written."""
    sessions: list[SessionState] = []
    newest_ms: int = 0


class VisitOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What goes out of one envelope."""

    events: list[Event] = []
    sessions: list[Session] = []
    links: list[Link] = []
    probes: list[Probe] = []
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
        into others, links and probes for the identity log.
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
    events: list[Event] = []
    for raw in raws:
        user_id = raw.user_id or after.user_id
        person = person_of(
            user_id=user_id,
            device_id=raw.device_id,
            cookie_id=raw.cookie_id,
            subject=envelope.subject,
        )
        events.append(
            enriched(
                raw,
                envelope,
                offset_ms=after.clock_offset_ms,
                person=person,
                user_id=user_id,
                place=place,
                user_agent=user_agent,
                rules=rules,
            )
        )
        after = msgspec.structs.replace(after, user_id=user_id, person=person)
    after, records = _sat_again(after, events) if replay else _sat(after, events, rules)
    after, links = _linked(after, raws, events, everything=replay)
    events = [_in_session(event, after) for event in events]
    return after, VisitOutcome(
        events=events,
        sessions=records,
        links=links,
        probes=[
            probe
            for raw, event in zip(raws, events, strict=True)
            if (conversion := conversion_of(raw, event, rules=rules))
            for probe in probes_of(conversion)
        ],
        duplicates=len(envelope.events) - len(raws),
    )


def due_ms(state: VisitorState, *, rules: Rules) -> int | None:
    """From when on a tick has work here, epoch milliseconds; 0: at once; None: not at all."""
    waiting = [one for one in state.sessions if one.changed or not one.closed]
    if any(one.changed for one in waiting):
        return 0
    idle = min((one.end[0] for one in waiting), default=None)
    return None if idle is None else idle + rules.session_gap_ms + 1


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
        closes = not one.closed and at_ms - one.end[0] > rules.session_gap_ms
        now = one
        if closes or one.changed:
            now = msgspec.structs.replace(
                one, revision=one.revision + 1, changed=False, closed=one.closed or closes
            )
            records.append(_record(state, now))
        kept.append(now)
    return msgspec.structs.replace(state, sessions=kept), records


def _new(state: VisitorState, envelope: Envelope, offset: int) -> list[RawEvent]:
    """The envelope's events that no other message has brought, each id once."""
    once = {_hash(raw.event_id): raw for raw in reversed(envelope.events)}
    return [
        raw
        for raw in envelope.events
        if once[mark := _hash(raw.event_id)] is raw and state.recent.get(mark, offset) == offset
    ]


def _remembered(
    state: VisitorState, raws: list[RawEvent], offset: int, rules: Rules
) -> dict[int, int]:
    recent = state.recent | {_hash(raw.event_id): offset for raw in raws}
    surplus = len(recent) - rules.max_recent_events
    return dict(list(recent.items())[surplus:]) if surplus > 0 else recent


def _sat(
    state: VisitorState, events: list[Event], rules: Rules
) -> tuple[VisitorState, list[Session]]:
    """The events put into sessions; records of sessions that opened or were merged away."""
    now = state.sessions
    gone: list[tuple[SessionState, str]] = []
    for event in events:
        one = sessions.of_event(event, converted=is_conversion(event.event, rules))
        now, absorbed = sessions.add(now, one, gap_ms=rules.session_gap_ms)
        gone += absorbed
    opened = {one.session_id for one in now if not one.revision}
    now = [
        msgspec.structs.replace(one, revision=1, changed=False) if one.session_id in opened else one
        for one in now
    ]
    newest_ms = max([state.newest_ms, *(event.timestamp_ms for event in events)])
    after = msgspec.structs.replace(
        state, sessions=_kept(now, newest_ms, rules), newest_ms=newest_ms
    )
    merged = [
        sessions.published(
            msgspec.structs.replace(one, revision=one.revision + 1),
            app_id=state.app_id,
            subject=state.subject,
            person=state.person,
            status="merged",
            merged_into=survivor,
        )
        for one, survivor in gone
    ]
    return after, [*merged, *(_record(after, one) for one in now if one.session_id in opened)]


def _sat_again(state: VisitorState, events: list[Event]) -> tuple[VisitorState, list[Session]]:
    """A replay changes nothing: the sessions that its events are in are published as they are."""
    touched = {
        one.session_id: one
        for event in events
        if (one := sessions.find(state.sessions, event.timestamp_ms))
    }
    return state, [_record(state, one) for one in touched.values()]


def _kept(now: list[SessionState], newest_ms: int, rules: Rules) -> list[SessionState]:
    """Closed and published sessions are forgotten when no late event is to change them."""
    oldest_ms = newest_ms - rules.session_memory_ms
    kept = [one for one in now if one.changed or not one.closed or one.end[0] >= oldest_ms]
    surplus = len(kept) - rules.max_sessions
    idle = [one.session_id for one in kept if one.closed and not one.changed][: max(0, surplus)]
    return [one for one in kept if one.session_id not in idle]


def _linked(
    state: VisitorState, raws: list[RawEvent], events: list[Event], *, everything: bool
) -> tuple[VisitorState, list[Link]]:
    """Links not written before; all of them again in a replay."""
    linked, links = dict.fromkeys(state.linked), list[Link]()
    for raw, event in zip(raws, events, strict=True):
        for link in links_of(raw, app_id=state.app_id, at_ms=event.timestamp_ms):
            pair = _hash(f"{link.identifier} {link.other}")
            if everything or pair not in linked:
                links.append(link)
            linked[pair] = None
    return msgspec.structs.replace(state, linked=list(linked)[-_MOST_LINKS:]), links


def _in_session(event: Event, state: VisitorState) -> Event:
    found = sessions.find(state.sessions, event.timestamp_ms)
    return msgspec.structs.replace(event, session_id=found.session_id if found else "")


def _record(state: VisitorState, one: SessionState) -> Session:
    return sessions.published(
        one,
        app_id=state.app_id,
        subject=state.subject,
        person=state.person,
        status="closed" if one.closed else "open",
    )


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
