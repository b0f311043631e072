"""`enrich`: envelopes become events and sessions; conversions ask the identity log. Reads `raw`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.ticks import each_due, forget
from tables import app_activity, funnel_activity
from trackstream.core.identifiers import scoped
from trackstream.core.records import Envelope, Outcome, Tick, Touch
from trackstream.core.visits import VisitorState, learnt, passed, visit

if TYPE_CHECKING:
    from agents.steps import At, Context, Step
    from agents.work import Effects
    from tables import Tables
    from tables.base import StateTable
    from trackstream.core.records import Record
    from trackstream.core.visits import VisitOutcome

__all__ = ["AGENT", "TOPIC", "send", "step"]

AGENT = "enrich"
TOPIC = "raw"


def step(context: Context) -> Step:
    """What is done with one message of `raw`."""
    tables, rules, funnels, deps = context.tables, context.rules, context.funnels, context.deps
    visitors = tables.visitors

    def enrich(record: Record, at: At, effects: Effects) -> None:
        match record:
            case Envelope():
                state, outcome = visit(
                    effects.load(visitors, record.subject),
                    record,
                    offset=at.offset,
                    place=deps.geo.place(record.ip),
                    user_agent=deps.user_agents.parse(record.user_agent),
                    rules=rules.current(record.app_id, at_ms=at.ms),
                    funnels=funnels.current(record.app_id, at_ms=at.ms),
                )
                effects.save(visitors, record.subject, state)
                send(outcome, effects)
                count(tables, record.app_id, outcome, at, effects)
                effects.tally("trackstream_duplicates_total", outcome.duplicates, agent=AGENT)
            case Tick():
                each_due(visitors, record, at, effects, pass_time, until_ms=record.at_ms)
                expire(tables, at, effects)
                forget(visitors, at, effects, AGENT)
            case Touch() | Outcome():
                learn(visitors, record, at, effects)
            case _:
                raise TypeError(f"{type(record).__name__} does not belong on {TOPIC}")

    def pass_time(key: str, state: VisitorState, at_ms: int, effects: Effects) -> None:
        after, sessions = passed(state, at_ms=at_ms, rules=rules.current(state.app_id, at_ms=at_ms))
        effects.save(visitors, key, after)
        for session in sessions:
            effects.send("sessions", session.person, session)

    return enrich


def learn(
    visitors: StateTable[VisitorState], news: Touch | Outcome, at: At, effects: Effects
) -> None:
    """Remember by which touch the subject came, who may have no events so far."""
    before = effects.load(visitors, at.key)
    after = learnt(before, news, subject=at.key, offset=at.offset)
    if after is not before:
        effects.save(visitors, at.key, after)


def count(tables: Tables, app_id: str, outcome: VisitOutcome, at: At, effects: Effects) -> None:
    """Count what the envelope changes of the app's windows and funnels."""
    for begin_ms, change in outcome.activity.items():
        if app_activity.is_kept(begin_ms, at_ms=at.ms):
            effects.count(tables.app_activity, app_activity.row_key(begin_ms, app_id), change)
    for place, counted in outcome.funnels.items():
        if funnel_activity.is_kept(place.day, at_ms=at.ms):
            effects.count(tables.funnel_activity, funnel_activity.row_key(place, app_id), counted)


def expire(tables: Tables, at: At, effects: Effects) -> None:
    """Delete rows of the partition that are too old to be shown."""
    for window in app_activity.expired(tables.app_activity, at.partition, at_ms=at.ms):
        effects.save(tables.app_activity, window, None)
    for row in funnel_activity.expired(tables.funnel_activity, at.partition, at_ms=at.ms):
        effects.save(tables.funnel_activity, row, None)


def send(outcome: VisitOutcome, effects: Effects) -> None:
    """Everything that goes out of one envelope, each record under its topic's key."""
    for event in outcome.events:
        effects.send("events", event.person, event)
    for session in outcome.sessions:
        effects.send("sessions", session.person, session)
    for link in outcome.links:
        effects.send("identity", scoped(link.app_id, link.identifier), link)
    for probe in outcome.probes:
        effects.send("identity", scoped(probe.app_id, probe.identifier), probe)
    for told in outcome.persons:
        effects.send("persons", scoped(told.app_id, told.identifier), told)
