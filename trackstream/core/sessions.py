"""Sessions of one subject by event time, in whatever order its events arrive.

A session is a reducer over its events: each event is a session of one, and sessions that are at
most the gap apart are joined. Joining is associative and commutative, so the sessions that result
do not depend on the order of arrival; a late event may extend, reopen or join sessions.
The 30-minute gap is Google Analytics' definition; a gap strictly greater starts a new session.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from trackstream.core.records import Campaign, Session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.core.records import Event

__all__ = ["SessionState", "add", "find", "of_event", "published"]

_PAGE_VIEWS = frozenset({"page_view", "screen_view"})

Moment = tuple[int, str]
"""(event time in ms, event id): orders events of the same millisecond, too."""


class SessionState(msgspec.Struct, frozen=True, array_like=True):
    """One session so far."""

    session_id: str
    start: Moment
    end: Moment
    event_count: int = 1
    page_views: int = 0
    conversions: int = 0
    revenue_micros: int = 0
    currency: str | None = None
    entry: tuple[int, str, str] | None = None
    """(time, event id, URL) of the first page."""
    exit: tuple[int, str, str] | None = None
    campaign: tuple[int, str, Campaign] | None = None
    """The first campaign that the session names."""
    browser: str | None = None
    os_name: str | None = None
    device_model: str | None = None
    country: str | None = None
    city: str | None = None
    bot: bool = False
    revision: int = 0
    """The revision last published; 0: none yet."""
    changed: bool = True
    """Something has changed since it was last published."""
    closed: bool = False


def of_event(event: Event, *, converted: bool) -> SessionState:
    """The session that consists of this event alone."""
    at = (event.timestamp_ms, event.event_id)
    page = event.context.page_url if event.context else None
    seen = event.event in _PAGE_VIEWS
    visit = (*at, page) if seen and page else None
    digest = hashlib.blake2b(f"{event.subject}|{event.event_id}".encode(), digest_size=16)
    return SessionState(
        session_id=digest.hexdigest(),
        start=at,
        end=at,
        page_views=int(seen),
        conversions=int(converted),
        revenue_micros=event.revenue_micros or 0,
        currency=event.currency,
        entry=visit,
        exit=visit,
        campaign=(*at, event.campaign) if event.campaign else None,
        browser=event.browser,
        os_name=event.os_name,
        device_model=event.device_model,
        country=event.country,
        city=event.city,
        bot=event.bot,
    )


def add(
    sessions: Iterable[SessionState], one: SessionState, *, gap_ms: int
) -> tuple[list[SessionState], list[tuple[SessionState, str]]]:
    """Add a session (of one event) to a subject's sessions.

    Returns:
        The sessions after, by start; and those that were published before and now are part of
        another, each with that other's id.
    """
    near: list[SessionState] = []
    rest: list[SessionState] = []
    for other in sessions:
        apart = max(other.start[0] - one.end[0], one.start[0] - other.end[0])
        (near if apart <= gap_ms else rest).append(other)
    joined = one
    for other in near:
        joined = _joined(joined, other)
    absorbed = [
        (other, joined.session_id)
        for other in near
        if other.session_id != joined.session_id and other.revision
    ]
    return sorted([*rest, joined], key=lambda s: s.start), absorbed


def find(sessions: Iterable[SessionState], at_ms: int) -> SessionState | None:
    """The session whose span holds this time."""
    return next((one for one in sessions if one.start[0] <= at_ms <= one.end[0]), None)


def published(
    state: SessionState,
    *,
    app_id: str,
    subject: str,
    person: str,
    status: str,
    merged_into: str | None = None,
) -> Session:
    """The record of this state, under its own revision."""
    return Session(
        session_id=state.session_id,
        revision=state.revision,
        app_id=app_id,
        person=person,
        subject=subject,
        status=status,
        merged_into=merged_into,
        started_at_ms=state.start[0],
        ended_at_ms=state.end[0],
        event_count=state.event_count,
        page_views=state.page_views,
        conversions=state.conversions,
        revenue_micros=state.revenue_micros,
        currency=state.currency,
        entry_page=state.entry[2] if state.entry else None,
        exit_page=state.exit[2] if state.exit else None,
        campaign=state.campaign[2] if state.campaign else None,
        browser=state.browser,
        os_name=state.os_name,
        device_model=state.device_model,
        country=state.country,
        city=state.city,
        bot=state.bot,
    )


def _joined(a: SessionState, b: SessionState) -> SessionState:
    """Both as one. It keeps the id of a published one, of the earlier where both are."""
    first, second = (a, b) if a.start <= b.start else (b, a)
    known = [one for one in (first, second) if one.revision]
    keeper = known[0] if known else first
    entries = [one.entry for one in (a, b) if one.entry]
    exits = [one.exit for one in (a, b) if one.exit]
    campaigns = [one.campaign for one in (a, b) if one.campaign]
    return SessionState(
        session_id=keeper.session_id,
        start=first.start,
        end=max(a.end, b.end),
        event_count=a.event_count + b.event_count,
        page_views=a.page_views + b.page_views,
        conversions=a.conversions + b.conversions,
        revenue_micros=a.revenue_micros + b.revenue_micros,
        currency=first.currency or second.currency,
        entry=min(entries, default=None),
        exit=max(exits, default=None),
        campaign=min(campaigns, key=lambda c: c[:2], default=None),
        browser=first.browser or second.browser,
        os_name=first.os_name or second.os_name,
        device_model=first.device_model or second.device_model,
        country=first.country or second.country,
        city=first.city or second.city,
        bot=a.bot or b.bot,
        revision=keeper.revision,
        changed=True,
        closed=False,
    )
