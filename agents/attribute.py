"""`attribute`: answers are gathered, and each conversion is decided. Reads `candidates`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.deciding import Decider
from agents.ticks import each_due, forget
from tables.campaign_activity import DECISIONS, Activity, expired, row_key
from trackstream.core.identifiers import scoped
from trackstream.core.privacy import private_attribution
from trackstream.core.records import Answer, Attribution, Tick

if TYPE_CHECKING:
    from agents.steps import At, Context, Step
    from agents.work import Effects
    from tables.base import StateTable
    from trackstream.core.matching.conversion import ConversionState, GatherOutcome
    from trackstream.core.records import Record

__all__ = ["AGENT", "TOPIC", "step"]

AGENT = "attribute"
TOPIC = "candidates"


def step(context: Context) -> Step:
    """What is done with one message of `candidates`."""
    return _Attribute(context)


class _Attribute:
    def __init__(self, context: Context) -> None:
        self._rules = context.rules
        self._conversions = context.tables.conversions
        self._activity = context.tables.campaign_activity
        self._decider = Decider(context.rules, context.models)

    def __call__(self, record: Record, at: At, effects: Effects) -> None:
        match record:
            case Answer():
                self._take(record, at, effects)
            case Attribution():
                self._reconsider(record, at, effects)
            case Tick():
                self._pass_time(record, at, effects)
            case _:
                raise TypeError(f"{type(record).__name__} does not belong on {TOPIC}")

    def _take(self, answer: Answer, at: At, effects: Effects) -> None:
        key = answer.conversion.conversion_id
        before = effects.load(self._conversions, key)
        counted = passed_over(before, answer)
        if counted is not None:
            effects.tally(counted, agent=AGENT)
            return
        after, outcome = self._decider.gather(before, answer, at)
        self._finish(key, before, after, outcome, effects, at.ms)

    def _reconsider(self, revised: Attribution, at: At, effects: Effects) -> None:
        """Decide again what somebody has replayed under other rules."""
        key = revised.conversion_id
        before = effects.load(self._conversions, key)
        if before is None:
            # Forgotten, so nobody will say more of it: what is stored of it is all there is.
            self._publish(revised, effects, at.ms)
            return
        after, outcome = self._decider.reconsider(before, revised, at)
        self._finish(key, before, after, outcome, effects, at.ms)

    def _pass_time(self, tick: Tick, at: At, effects: Effects) -> None:
        each_due(self._conversions, tick, at, effects, self._expire, until_ms=tick.answered_ms or 0)
        for old in expired(self._activity, at.partition, DECISIONS, at_ms=at.ms):
            effects.save(self._activity, old, None)
        forget(self._conversions, at, effects, AGENT)

    def _expire(self, key: str, state: ConversionState, at_ms: int, effects: Effects) -> None:
        after, outcome = self._decider.expire(state, at_ms)
        self._finish(key, state, after, outcome, effects, at_ms)

    def _finish(
        self,
        key: str,
        before: ConversionState | None,
        after: ConversionState,
        outcome: GatherOutcome,
        effects: Effects,
        at_ms: int,
    ) -> None:
        effects.save(self._conversions, key, after)
        tell(outcome, effects)
        if outcome.attribution is not None:
            self._publish(outcome.attribution, effects, at_ms)
        recount(self._activity, before, after, effects)

    def _publish(self, decision: Attribution, effects: Effects, at_ms: int) -> None:
        privacy = self._rules.current(decision.app_id, at_ms=at_ms).ip_privacy
        effects.send("attributions", decision.person, private_attribution(decision, privacy))


def passed_over(before: ConversionState | None, answer: Answer) -> str | None:
    """As what an answer is counted that changes nothing; None: it may."""
    if before is None:
        # News of a conversion that is forgotten: of one that is not, the first to come from any
        # identifier is its answer.
        return "trackstream_late_news_total" if answer.depth is None else None
    if before.conversion.subject != answer.conversion.subject:
        # Another subject's event of the same id: an id names the first one.
        return "trackstream_contested_answers_total"
    return None


def tell(outcome: GatherOutcome, effects: Effects) -> None:
    """Ask and tell the identity log; tell the conversion's subject, too, by which touch it came."""
    for probe in outcome.probes:
        effects.send("identity", scoped(probe.app_id, probe.identifier), probe)
    for told in outcome.outcomes:
        effects.send("identity", scoped(told.app_id, told.identifier), told)
    for claim in outcome.claims:
        effects.send("identity", scoped(claim.app_id, claim.identifier), claim)
    won = outcome.subject_outcome
    if won is not None:
        effects.send("raw", scoped(won.app_id, won.identifier), won)


def recount(
    activity: StateTable[Activity],
    before: ConversionState | None,
    after: ConversionState,
    effects: Effects,
) -> None:
    """Take the old decision out of the counters and put the new one in."""
    was, now = before.decided if before else None, after.decided
    if before is not None and was is not None and was != now:
        effects.count(activity, _row(before), _one(before, -1))
    if now is not None and was != now:
        effects.count(activity, _row(after), _one(after, 1))


def _row(state: ConversionState) -> str:
    conversion = state.conversion
    return row_key(DECISIONS, conversion.at_ms, conversion.app_id, _campaign(state))


def _campaign(state: ConversionState) -> str | None:
    """The campaign of the decision's touch, the conversion's own or that of an earlier one."""
    touch_id = state.decided.touch_id if state.decided else None
    if touch_id is None:
        return None
    touches = [one.touch for one in state.found.values()]
    touches += [one.prior.touch for one in state.priors.values() if one.prior.touch]
    return next((one.campaign_id for one in touches if one.touch_id == touch_id), None)


def _one(state: ConversionState, sign: int) -> Activity:
    conversion = state.conversion
    revenue = sign * (conversion.revenue_micros or 0)
    return Activity(
        installs=sign * (conversion.kind == "install"),
        conversions=sign * (conversion.kind != "install"),
        revenue_micros={conversion.currency or "": revenue} if revenue else {},
    )
