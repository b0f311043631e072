"""By which touch a subject came last: what is remembered, and which touch an event is given.

`enrich` learns of touches from `raw`: of a subject's own as they happen, of those that are known by
a click id or a fingerprint alone when a conversion of the subject is attributed to them. What is
learnt after an event was published does not revise it. See docs/decisions/last-touch.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackstream.core.cells import mark
from trackstream.core.matching.horizon import latest_ms
from trackstream.core.records import LastTouch

if TYPE_CHECKING:
    from trackstream.core.records import Outcome, Touch
    from trackstream.core.rules import Rules

__all__ = ["MOST_TOUCHES", "TouchMark", "came_by", "in_use", "told", "touched"]

MOST_TOUCHES = 5
"""Of one subject; the state is written whole on each change, so its size is a cost."""


class TouchMark(msgspec.Struct, frozen=True, array_like=True):
    """A touch that is remembered of a subject."""

    touch: LastTouch
    since: int
    """Offset of the message that told of it."""
    until: int | None = None
    """Offset of the message that withdrew it; kept, for events before that may be replayed."""
    conversion: int | None = None
    """64-bit hash of the id of the conversion that was attributed to it."""
    revision: int = 0
    """Of that decision."""


def touched(marks: list[TouchMark], touch: Touch, *, offset: int) -> list[TouchMark]:
    """The marks after a touch of the subject's own; the same list if it is known."""
    if any(one.conversion is None and one.touch.touch_id == touch.touch_id for one in marks):
        return marks
    return _bounded([*marks, TouchMark(_last(touch, None), offset)])


def told(marks: list[TouchMark], outcome: Outcome, *, offset: int) -> list[TouchMark]:
    """The marks after a decision of a conversion of the subject, which replaces its earlier ones.

    The same list if nothing is new: a decision that is told again, or an older one.
    """
    conversion = mark(outcome.conversion_id)
    of_it = [one for one in marks if one.conversion == conversion]
    touch = outcome.touch
    if any(one.revision >= outcome.revision for one in of_it) or not (of_it or touch):
        return marks
    after = [
        msgspec.structs.replace(
            one,
            until=offset if one.until is None else one.until,
            revision=outcome.revision,  # so that an older one, told late, does not come back
        )
        if one.conversion == conversion
        else one
        for one in marks
    ]
    if touch is not None:
        decided = _last(touch, outcome.method)
        after.append(TouchMark(decided, offset, None, conversion, outcome.revision))
    return _bounded(after)


def came_by(
    marks: list[TouchMark], *, at_ms: int, received_at_ms: int, offset: int, rules: Rules
) -> LastTouch | None:
    """The touch that an event of the subject is given.

    Args:
        marks: What is remembered, perhaps of later messages, too.
        at_ms: The event's corrected time.
        received_at_ms: When it came; see `core.matching.horizon`.
        offset: Of the message that brought it: what was learnt after it does not count.
        rules: The windows of clicks and of views, and how exact clocks are.

    Returns:
        The newest click in its window, else the newest impression in its; None without any.
    """
    if not marks:
        return None
    until_ms = latest_ms(at_ms, received_at_ms, rules)
    known = [
        one.touch
        for one in marks
        if one.since < offset
        and (one.until is None or one.until > offset)
        and at_ms - _window_ms(one.touch, rules) <= one.touch.at_ms <= until_ms
    ]
    return max(known, key=_rank, default=None)


def in_use(marks: list[TouchMark], *, now_ms: int, rules: Rules) -> list[TouchMark]:
    """The marks without those that no event can be given any more, unless it is very late.

    The same list if all of them are in use. `now_ms` is the collectors' time.
    """
    oldest_ms = now_ms - rules.session_memory_ms
    if all(one.touch.at_ms + _window_ms(one.touch, rules) >= oldest_ms for one in marks):
        return marks
    return [one for one in marks if one.touch.at_ms + _window_ms(one.touch, rules) >= oldest_ms]


def _window_ms(touch: LastTouch, rules: Rules) -> int:
    return rules.click_window_ms if touch.kind == "click" else rules.view_window_ms


def _rank(touch: LastTouch) -> tuple[bool, int, bool, str]:
    """A click goes before every impression, as in the waterfall; then the newest does."""
    return touch.kind == "click", touch.at_ms, touch.method is not None, touch.touch_id


def _bounded(marks: list[TouchMark]) -> list[TouchMark]:
    """As many as may be kept; withdrawn ones go first, then impressions, then the oldest."""
    surplus = len(marks) - MOST_TOUCHES
    if surplus <= 0:
        return marks
    ranked = sorted(marks, key=lambda one: (one.until is None, _rank(one.touch)))
    return ranked[surplus:]


def _last(touch: Touch, method: str | None) -> LastTouch:
    return LastTouch(
        touch_id=touch.touch_id,
        kind=touch.kind,
        at_ms=touch.at_ms,
        campaign_id=touch.campaign_id,
        ad_group=touch.ad_group,
        creative=touch.creative,
        keyword=touch.keyword,
        channel=touch.channel,
        network=touch.network,
        method=method,
    )
