"""One POST's events of one subject, applied to what is remembered of that subject.

Safe to run twice: state carries the last applied source offset, and every remembered event id the
offset that brought it. A client's retry (the same id at another offset) is dropped; a replay (the
same offset again) is not applied again, but its outputs are made again, with the same ids.

Sessions and users are kept by the device's own clock, whose error shifts all of them alike: so they
do not depend on when the error became known. See `core.clocks` and docs/decisions/sessions.md.
"""

from __future__ import annotations

from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from trackstream.core.activity import AppActivity
from trackstream.core.cells import Moment, mark
from trackstream.core.clocks import Heard, heard, moment_ms
from trackstream.core.enrichment import enriched
from trackstream.core.funnel_progress import Changes, follow
from trackstream.core.identifiers import person_of
from trackstream.core.last_touch import came_by, in_use
from trackstream.core.live_funnels import NO_FUNNELS, LiveFunnels
from trackstream.core.matching.ask import conversion_of, probes_of
from trackstream.core.naming import named
from trackstream.core.privacy import private_event
from trackstream.core.records import Envelope, Event, Link, PersonLink, Probe, RawEvent, Session
from trackstream.core.seen import Seen
from trackstream.core.sitting import in_session, sat, sat_again
from trackstream.core.users import UserMark, at_once, marked, user_at
from trackstream.core.visitor import Request, VisitorState, due_ms, learnt, passed

if TYPE_CHECKING:
    from collections.abc import Collection

    from trackstream.core.lookups import Place, UserAgent
    from trackstream.core.rules import Rules

__all__ = ["VisitOutcome", "VisitorState", "due_ms", "learnt", "passed", "visit"]


_MOST_IDS = 4_096
"""Remembered, however many the last requests had: they are a part of the state."""


class VisitOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What goes out of one envelope."""

    events: list[Event] = []
    sessions: list[Session] = []
    links: list[Link] = []
    probes: list[Probe] = []
    persons: list[PersonLink] = []
    activity: dict[int, AppActivity] = {}
    """Changes of the app's rows, by where they begin; none in a replay."""
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
    fresh = _new(before, envelope, offset)
    clocks, reading = heard(
        Heard(before.clock_offset_ms, before.clocks),
        envelope,
        begun=before.newest_ms != 0,
        rules=rules,
    )
    moments = [
        (moment_ms(raw.timestamp_ms, envelope, reading, rules), name) for name, raw in fresh.items()
    ]
    raws = list(fresh.values())
    marks = _marks(raws, moments, rules)
    users = at_once(before.users, marks)
    recent, requests = before.recent, before.requests
    if fresh and not replay:
        requests = _requests(requests, envelope, offset)
        recent = _remembered(recent, fresh, offset, since=requests[0][1], rules=rules)
    after = msgspec.structs.replace(
        before,
        applied=max(offset, before.applied),
        clock_offset_ms=clocks.offset_ms,
        clocks=before.clocks if replay else clocks.others,
        users=marked(before.users, marks),
        recent=recent,
        requests=requests,
        touches=before.touches
        if replay
        else in_use(before.touches, now_ms=envelope.received_at_ms, rules=rules),
    )
    seen = [
        Seen(
            raw,
            at,
            _event(
                raw,
                envelope,
                after,
                user_id=raw.user_id or user_at(users, at),
                at_ms=at[0] - reading.shift_ms + reading.error_ms,
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
        records, activity = sat_again(after, seen), dict[int, AppActivity]()
        among = after.sessions
    else:
        after, records, activity, among = sat(before, after, seen, rules)
    after, links, persons = named(after, seen, everything=replay)
    events = [private_event(in_session(one, among), rules.ip_privacy) for one in seen]
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
            if (
                conversion := conversion_of(
                    one.raw, one.event, sent_at_ms=envelope.sent_at_ms, rules=rules
                )
            )
            for probe in probes_of(conversion)
        ],
        persons=persons,
        activity=activity,
        funnels=progress,
        duplicates=len(envelope.events) - len(fresh),
    )


def _new(state: VisitorState, envelope: Envelope, offset: int) -> dict[int, RawEvent]:
    """The envelope's events that no other message has brought, each id once, by their hashes."""
    fresh: dict[int, RawEvent] = {}
    for raw in envelope.events:
        name = mark(raw.event_id)
        if name not in fresh and state.recent.get(name, offset) == offset:
            fresh[name] = raw
    return fresh


def _remembered(
    known: dict[int, int], fresh: Collection[int], offset: int, *, since: int, rules: Rules
) -> dict[int, int]:
    """The ids that are remembered, with those that this envelope brings.

    They are forgotten by whole envelopes, for those are what is sent again, and those of the last
    two requests, from the offset `since` on, are not; of those before as many are kept as it takes
    to have as many ids as the rules say.
    """
    recent = known | dict.fromkeys(fresh, offset)
    surplus = len(recent) - rules.max_recent_events
    if surplus <= 0:
        return recent
    oldest = list(islice(recent.items(), surplus + 1))
    for brought, ids in groupby(oldest, key=itemgetter(1)):
        names = [name for name, _ in ids]
        surplus -= len(names)
        if surplus < 0 or brought >= since:
            break
        for name in names:
            del recent[name]
    for name in list(islice(recent, max(0, len(recent) - _MOST_IDS))):
        del recent[name]
    return recent


def _requests(known: list[Request], envelope: Envelope, offset: int) -> list[Request]:
    """The last two requests. Envelopes of one have one time of arrival."""
    if known and known[-1][0] == envelope.received_at_ms:
        return known
    return [*known[-1:], (envelope.received_at_ms, offset)]


def _marks(raws: list[RawEvent], moments: list[Moment], rules: Rules) -> list[UserMark]:
    """Which users the events name, and log out."""
    return [
        (*at, None if raw.event in rules.logout_events else raw.user_id)
        for raw, at in zip(raws, moments, strict=True)
        if raw.user_id is not None or raw.event in rules.logout_events
    ]


def _event(
    raw: RawEvent,
    envelope: Envelope,
    state: VisitorState,
    *,
    user_id: str | None,
    at_ms: int,
    offset: int,
    place: Place,
    user_agent: UserAgent,
    rules: Rules,
) -> Event:
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
