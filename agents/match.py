"""`match`: the owners of identifiers answer probes. Reads `identity`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tables.campaign_activity import MINUTE_MS, TOUCHES, Activity, expired, row_key
from trackstream.core.matching.owner import own
from trackstream.core.records import Link, Outcome, Probe, Touch

if TYPE_CHECKING:
    from agents.steps import At, Context, Step
    from agents.work import Effects
    from trackstream.core.matching.owner import IdentifierState
    from trackstream.core.records import Record

__all__ = ["AGENT", "TOPIC", "step"]

AGENT = "match"
TOPIC = "identity"

_CLICK = "click:"
"""A touch is written under each of its identifiers, but always under this one: counted there."""


def step(context: Context) -> Step:
    """What is done with one message of `identity`."""
    touchpoints, activity = context.tables.touchpoints, context.tables.campaign_activity
    pruned_minute: dict[int, int] = {}

    def match(record: Record, at: At, effects: Effects) -> None:
        if not isinstance(record, Touch | Link | Probe | Outcome):
            raise TypeError(f"{type(record).__name__} does not belong on {TOPIC}")
        identifier = at.key.partition("|")[2]
        before = effects.load(touchpoints, at.key)
        rules = context.rules.current(record.app_id, at_ms=at.ms)
        after, answers = own(before, record, identifier=identifier, rules=rules)
        if after != before:
            effects.save(touchpoints, at.key, after)
        for answer in answers:
            effects.send("candidates", answer.conversion.conversion_id, answer)
        if isinstance(record, Touch) and identifier.startswith(_CLICK):
            count(record, before, at, effects)

    def count(touch: Touch, before: IdentifierState | None, at: At, effects: Effects) -> None:
        if before is not None and any(one.touch_id == touch.touch_id for one in before.touches):
            return
        row = row_key(TOUCHES, touch.at_ms, touch.app_id, touch.campaign_id)
        clicked = touch.kind == "click"
        effects.count(activity, row, Activity(clicks=int(clicked), impressions=int(not clicked)))
        minute = at.ms // MINUTE_MS
        if pruned_minute.get(at.partition) != minute:
            pruned_minute[at.partition] = minute
            for old in expired(activity, at.partition, TOUCHES, at_ms=at.ms):
                effects.save(activity, old, None)

    return match
