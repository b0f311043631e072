"""`match`: the owners of identifiers answer probes. Reads `identity`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.ticks import forget
from tables.campaign_activity import TOUCHES, Activity, expired, row_key
from trackstream.core.matching.owner import own
from trackstream.core.records import Claim, Link, Outcome, Probe, Tick, Touch

if TYPE_CHECKING:
    from agents.steps import At, Context, Step
    from agents.work import Effects
    from tables.base import StateTable
    from trackstream.core.matching.owner import IdentifierState
    from trackstream.core.records import Record

__all__ = ["AGENT", "TOPIC", "step"]

AGENT = "match"
TOPIC = "identity"


def step(context: Context) -> Step:
    """What is done with one message of `identity`."""
    touchpoints, activity = context.tables.touchpoints, context.tables.campaign_activity

    def match(record: Record, at: At, effects: Effects) -> None:
        match record:
            case Touch() | Link() | Probe() | Outcome() | Claim():
                tell(record, at, effects)
            case Tick():
                for old in expired(activity, at.partition, TOUCHES, at_ms=at.ms):
                    effects.save(activity, old, None)
                forget(touchpoints, at, effects, AGENT)
            case _:
                raise TypeError(f"{type(record).__name__} does not belong on {TOPIC}")

    def tell(record: Touch | Link | Probe | Outcome | Claim, at: At, effects: Effects) -> None:
        identifier = at.key.partition("|")[2]
        before = effects.load(touchpoints, at.key)
        rules = context.rules.current(record.app_id, at_ms=at.ms)
        after, answers = own(before, record, identifier=identifier, rules=rules)
        if after != before:
            effects.save(touchpoints, at.key, after)
        for answer in answers:
            effects.send("candidates", answer.conversion.conversion_id, answer)
        if isinstance(record, Touch) and identifier == record.identifiers[0]:
            count(activity, record, before, effects)

    return match


def count(
    activity: StateTable[Activity],
    touch: Touch,
    before: IdentifierState | None,
    effects: Effects,
) -> None:
    """Count a touch for its campaign, unless its identifier knew it already.

    It is written under each of its identifiers, and counted under the first.
    """
    if before is not None and any(one.touch_id == touch.touch_id for one in before.touches):
        return
    row = row_key(TOUCHES, touch.at_ms, touch.app_id, touch.campaign_id)
    clicked = touch.kind == "click"
    effects.count(activity, row, Activity(clicks=int(clicked), impressions=int(not clicked)))
