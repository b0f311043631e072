"""What one conversion collects: answers, further probes along links, and when to decide.

Handled twice, a message leaves the same state; the outputs that it may have lost the first time
(a worker died before they were acknowledged) are emitted again, with the same ids and revisions.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from trackstream.core.credits import MODELS, credits_of
from trackstream.core.matching.decide import Decision, Found, FoundPrior, decide
from trackstream.core.matching.told import attribution, outcomes, probes, subject_outcome
from trackstream.core.records import (
    Answer,
    Attribution,
    Conversion,
    Credit,
    Outcome,
    Prior,
    Probe,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trackstream.core.models import Weigh
    from trackstream.core.rules import Rules

__all__ = ["ConversionState", "Decided", "GatherOutcome", "deadline_ms", "expire", "gather"]

_FAR = 1 << 30


class Decided(msgspec.Struct, frozen=True, array_like=True):
    """The decision last published: what is compared with the next, and what names it."""

    revision: int
    at_ms: int
    method: str
    touch_id: str | None
    inherited_from: str | None
    unanswered: list[str]
    previous_method: str | None = None
    previous_touch_id: str | None = None
    made_of: str = ""
    """What it was made of and what the credits were, as a digest."""


class ConversionState(msgspec.Struct, frozen=True, array_like=True):
    """Everything known of one conversion."""

    conversion: Conversion
    deadline_ms: int | None
    """When to decide without the answers that are missing; None: nothing is awaited."""
    applied: int = -1
    """Source offset of the last answer applied."""
    found: dict[str, Found] = {}
    """Touches by touch id."""
    priors: dict[str, FoundPrior] = {}
    """Earlier conversions by conversion id."""
    links: dict[str, list[str]] = {}
    """Linked identifiers, by the identifier that answered."""
    depths: dict[str, int] = {}
    """Every identifier asked, with the fewest links that lead to it."""
    answered: list[str] = []
    decided: Decided | None = None
    rules_version: str | None = None
    """The rules of the first decision, under which it is made again; None: not decided yet."""


class GatherOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What goes out: probes and outcomes to the identity log, the decision if it is new."""

    probes: list[Probe] = []
    outcomes: list[Outcome] = []
    subject_outcome: Outcome | None = None
    """For the conversion's subject, if it is new."""
    attribution: Attribution | None = None
    failed_models: dict[str, str] = {}
    """Models that have given no credits, and why."""


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
    after = _opened(_bounded(_collected(before, answer), rules), rules)
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
    return _decided(state, [], at_ms=at_ms, rules=rules, models=models, replay=False)


def _new(conversion: Conversion, at_ms: int, rules: Rules) -> ConversionState:
    return ConversionState(
        conversion=conversion,
        deadline_ms=at_ms + rules.answer_deadline_ms,
        depths=dict.fromkeys(conversion.identifiers, 0),
    )


def _collected(state: ConversionState, answer: Answer) -> ConversionState:
    """The state with the answer's touches, links and priors in it."""
    me = answer.identifier
    found, priors, links = dict(state.found), dict(state.priors), dict(state.links)
    for touch in answer.touches:
        old = found.get(touch.touch_id)
        found[touch.touch_id] = Found(touch, _with(old.identifiers if old else (), [me]))
    for prior in answer.priors:
        was = priors.get(prior.conversion_id)
        newest = was.prior if was and was.prior.revision > prior.revision else prior
        priors[prior.conversion_id] = FoundPrior(
            newest, _with(was.identifiers if was else (), [me])
        )
    if answer.links:
        links[me] = _with(links.get(me, ()), answer.links)
    answered = state.answered if answer.depth is None else _with(state.answered, [me])
    return msgspec.structs.replace(
        state, found=found, priors=priors, links=links, answered=answered
    )


def _bounded(state: ConversionState, rules: Rules) -> ConversionState:
    """The newest touches, and of the earlier conversions installs and returns before all events.

    One identifier's owner knows as many; the identifiers of a conversion may be many. What is kept
    follows from what each of them is, so it does not depend on the order of the answers.
    """
    found, priors = state.found, state.priors
    if len(found) > rules.max_touches:
        newest = sorted(found, key=lambda key: (found[key].touch.at_ms, key))[-rules.max_touches :]
        found = {key: found[key] for key in newest}
    if len(priors) > rules.max_probes:
        first = sorted(priors, key=lambda key: _weight(priors[key].prior))[-rules.max_probes :]
        priors = {key: priors[key] for key in first}
    if found is state.found and priors is state.priors:
        return state
    return msgspec.structs.replace(state, found=found, priors=priors)


def _weight(prior: Prior) -> tuple[bool, int, str]:
    return prior.kind != "event", prior.at_ms, prior.conversion_id


def _with(known: Iterable[str], more: Iterable[str]) -> list[str]:
    return sorted({*known, *more})


def _opened(state: ConversionState, rules: Rules) -> ConversionState:
    """Follow the links to the allowed depth.

    A shorter way found later opens an identifier that was too far before, so that the order in
    which links become known does not matter.
    """
    depths = dict(state.depths)
    todo = deque(depths)
    while todo:
        here = todo.popleft()
        depth = depths[here] + 1
        if depth > rules.depth:
            continue
        for other in state.links.get(here, ()):
            if other not in depths and len(depths) >= rules.max_asked:
                continue
            if depth < depths.get(other, _FAR):
                depths[other] = depth
                todo.append(other)
    return msgspec.structs.replace(state, depths=depths)


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
    if _unanswered(state):
        if state.deadline_ms is None:
            state = msgspec.structs.replace(state, deadline_ms=at_ms + rules.answer_deadline_ms)
        if not replay or state.decided is None:
            return state, GatherOutcome(probes=probes(state, asked))
    return _decided(state, asked, at_ms=at_ms, rules=rules, models=models, replay=replay)


def _decided(
    state: ConversionState,
    asked: list[str],
    *,
    at_ms: int,
    rules: Rules,
    models: Mapping[str, Weigh],
    replay: bool,
) -> tuple[ConversionState, GatherOutcome]:
    decision = decide(state.conversion, state.found, state.priors, rules=rules)
    missing = _unanswered(state)
    touch_id = decision.touch.touch_id if decision.touch else None
    shared, failed = credits_of(state.conversion, decision, rules=rules, models=models)
    made_of = _digest(state, decision, shared)
    old = state.decided
    same = old is not None and (
        (decision.method, touch_id, decision.inherited_from, missing, made_of)
        == (old.method, old.touch_id, old.inherited_from, old.unanswered, old.made_of)
    )
    if old is not None and same:
        now = old
    else:
        now = Decided(
            revision=old.revision + 1 if old else 1,
            at_ms=at_ms,
            method=decision.method,
            touch_id=touch_id,
            inherited_from=decision.inherited_from,
            unanswered=missing,
            previous_method=old.method if old else None,
            previous_touch_id=old.touch_id if old else None,
            made_of=made_of,
        )
    after = msgspec.structs.replace(
        state, decided=now, deadline_ms=None, rules_version=rules.version
    )
    out = GatherOutcome(probes=probes(after, asked), failed_models=failed)
    if same and not replay:
        return after, out
    return after, msgspec.structs.replace(
        out,
        outcomes=outcomes(after.conversion, decision, now),
        subject_outcome=subject_outcome(after.conversion, decision, now),
        attribution=attribution(after, decision, now, shared, rules),
    )


def _digest(state: ConversionState, decision: Decision, shared: list[Credit]) -> str:
    """All that is published of a decision besides its name.

    Whoever decides again under other rules needs what had no influence under these.
    """
    published = (
        decision.reattribution,
        [
            (one.touch.touch_id, one.verdict, one.flags, one.identifiers)
            for one in decision.candidates
        ],
        sorted((key, one.identifiers) for key, one in state.priors.items()),
        shared,
    )
    return hashlib.blake2b(msgspec.json.encode(published), digest_size=8).hexdigest()


def _unanswered(state: ConversionState) -> list[str]:
    return sorted(set(state.depths) - set(state.answered))
