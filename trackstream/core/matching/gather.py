"""What one conversion collects: answers, further probes along links, and when to decide.

Handled twice, a message leaves the same state; the outputs that it may have lost the first time
(a worker died before they were acknowledged) are emitted again, with the same ids and revisions.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from trackstream.core.credits import MODELS
from trackstream.core.identifiers import CLICK, DEVICES, is_probabilistic
from trackstream.core.matching.bounds import foremost, kept
from trackstream.core.matching.candidates import Found, FoundPrior
from trackstream.core.matching.claims import more
from trackstream.core.matching.conversion import (
    ConversionState,
    GatherOutcome,
    decided,
    unanswered,
)
from trackstream.core.matching.told import probes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trackstream.core.models import Weigh
    from trackstream.core.records import Answer, Conversion
    from trackstream.core.rules import Rules

__all__ = ["deadline_ms", "expire", "gather", "may_be_led"]

_FAR = 1 << 30


def gather(
    state: ConversionState | None,
    answer: Answer,
    *,
    offset: int,
    at_ms: int,
    rules: Rules,
    models: Mapping[str, Weigh] = MODELS,
) -> tuple[ConversionState, GatherOutcome]:
    """Apply one answer to its conversion.

    Args:
        state: the state before, None at the first answer.
        answer: from the topic `candidates`.
        offset: the answer's offset in its partition; one already applied is a replay.
        at_ms: now, epoch milliseconds; sets the deadline and dates the decision.
        rules: depth, bounds, windows; of `state.rules_version` once there is one.
        models: multi-touch models by name.

    Returns:
        The state after, and what to send. Decided when every identifier that was asked has
        answered; again whenever something arrives that makes the decision differ.
    """
    before = state or _new(answer.conversion, at_ms, rules)
    replay = offset <= before.applied
    known = set(before.depths)
    after = _opened(_bounded(_collected(before, answer, rules), rules), rules)
    after = msgspec.structs.replace(after, applied=max(offset, after.applied))
    asked = [i for i in after.depths if replay or i not in known]
    return _settled(after, asked, at_ms=at_ms, rules=rules, models=models, replay=replay)


def deadline_ms(state: ConversionState) -> int | None:
    """When `expire` is to be called, epoch milliseconds; None: not at all."""
    return state.deadline_ms


def expire(
    state: ConversionState,
    *,
    at_ms: int,
    rules: Rules,
    models: Mapping[str, Weigh] = MODELS,
) -> tuple[ConversionState, GatherOutcome]:
    """Decide without the answers that are missing, once the deadline has passed; else nothing."""
    if state.deadline_ms is None or at_ms < state.deadline_ms:
        return state, GatherOutcome()
    return decided(state, [], at_ms=at_ms, rules=rules, models=models, replay=False)


def _new(conversion: Conversion, at_ms: int, rules: Rules) -> ConversionState:
    return ConversionState(
        conversion=conversion,
        deadline_ms=at_ms + rules.answer_deadline_ms,
        depths=dict.fromkeys(conversion.identifiers, 0),
    )


def _collected(state: ConversionState, answer: Answer, rules: Rules) -> ConversionState:
    """The state with the answer's touches, links and priors in it."""
    me = answer.identifier
    found, priors, links = dict(state.found), dict(state.priors), dict(state.links)
    for touch in answer.touches:
        old = found.get(touch.touch_id)
        found[touch.touch_id] = Found(touch, _with(old.identifiers if old else (), [me]))
    for prior in answer.priors:
        was = priors.get(prior.conversion_id)
        latest = was.prior if was and was.prior.revision > prior.revision else prior
        priors[prior.conversion_id] = FoundPrior(
            latest, _with(was.identifiers if was else (), [me])
        )
    if answer.links:
        links[me] = _linked(links.get(me, []), answer.links, rules)
    claimed = more(state.claimed, answer.claimed, rules.max_touches)
    answered = state.answered if answer.depth is None else _with(state.answered, [me])
    return msgspec.structs.replace(
        state, found=found, priors=priors, links=links, answered=answered, claimed=claimed
    )


def _bounded(state: ConversionState, rules: Rules) -> ConversionState:
    """What one identifier's owner keeps as well: the identifiers of a conversion may be many."""
    found, priors = state.found, state.priors
    if len(found) > rules.max_touches:
        last = kept(
            [one.touch for one in found.values()],
            rules.max_touches,
            guessed={
                key for key, one in found.items() if all(map(is_probabilistic, one.identifiers))
            },
            per_hour=rules.fraud.max_touches_per_hour,
        )
        found = {one.touch_id: found[one.touch_id] for one in last}
    if len(priors) > rules.max_probes:
        first = foremost([one.prior for one in priors.values()], rules.max_probes)
        priors = {one.conversion_id: priors[one.conversion_id] for one in first}
    if found is state.found and priors is state.priors:
        return state
    return msgspec.structs.replace(state, found=found, priors=priors)


def _with(known: Iterable[str], more: Iterable[str]) -> list[str]:
    return sorted({*known, *more})


def _linked(known: list[str], come: list[str], rules: Rules) -> list[str]:
    """All that one identifier leads to; of clicks as many as its owner keeps."""
    clicks = sum(one.startswith(CLICK) for one in known)
    links = set(known)
    for one in sorted(set(come) - links):
        if one.startswith(CLICK):
            clicks += 1
            if clicks > rules.max_links:
                continue
        links.add(one)
    return sorted(links)


def _opened(state: ConversionState, rules: Rules) -> ConversionState:
    """Follow the links to the allowed depth, then ask the clicks that any of them has named.

    A shorter way found later opens an identifier that was too far before, so that the order in
    which links become known does not matter. A click leads to nobody else: it is asked beside them.
    """
    depths = {one: depth for one, depth in state.depths.items() if not _is_named(one, depth)}
    todo = deque(depths)
    while todo:
        here = todo.popleft()
        depth = depths[here] + 1
        if depth > rules.depth:
            continue
        for other in state.links.get(here, ()):
            if other.startswith(CLICK) or (other not in depths and len(depths) >= rules.max_asked):
                continue
            if depth < depths.get(other, _FAR):
                depths[other] = depth
                todo.append(other)
    return msgspec.structs.replace(state, depths=depths | _named(state, depths, rules))


def _named(state: ConversionState, depths: Mapping[str, int], rules: Rules) -> dict[str, int]:
    """The clicks that are asked, as deep as who has named them, but not as the conversion's own."""
    clicks = {one: depth for one, depth in state.depths.items() if _is_named(one, depth)}
    if not may_be_led(state.conversion, rules):
        return clicks
    for here, depth in sorted(depths.items(), key=lambda one: (one[1], one[0])):
        for other in state.links.get(here, ()):
            if other.startswith(CLICK) and other not in depths:
                known = clicks.get(other)
                if known is not None or len(clicks) < rules.max_links:
                    clicks[other] = min(max(1, depth), known or _FAR)
    return clicks


def _is_named(identifier: str, depth: int) -> bool:
    return depth > 0 and identifier.startswith(CLICK)


def may_be_led(conversion: Conversion, rules: Rules) -> bool:
    """Whether clicks that were named matter: an app's event inherits from its device's install."""
    return (
        conversion.kind != "event"
        or conversion.event in rules.own_touch_events
        or not any(one.startswith(DEVICES) for one in conversion.identifiers)
    )


def _settled(
    state: ConversionState,
    asked: list[str],
    *,
    at_ms: int,
    rules: Rules,
    models: Mapping[str, Weigh],
    replay: bool,
) -> tuple[ConversionState, GatherOutcome]:
    """Decide if nothing is awaited; else wait, with a deadline."""
    if unanswered(state):
        # In a replay, what was decided without them is as it was: it waited for them then.
        if replay and state.decided is not None and state.deadline_ms is None:
            return decided(state, asked, at_ms=at_ms, rules=rules, models=models, replay=True)
        if state.deadline_ms is None:
            state = msgspec.structs.replace(state, deadline_ms=at_ms + rules.answer_deadline_ms)
        return state, GatherOutcome(probes=probes(state, asked))
    return decided(state, asked, at_ms=at_ms, rules=rules, models=models, replay=replay)
