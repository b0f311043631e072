"""A conversion as its owner knows it, and its decision: made again whenever more is known."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from trackstream.core.credits import credits_of
from trackstream.core.matching.candidates import Found, FoundPrior
from trackstream.core.matching.claims import claims
from trackstream.core.matching.decide import Decision, decide
from trackstream.core.matching.told import attribution, outcomes, probes, subject_outcome
from trackstream.core.records import Attribution, Claim, Claimed, Conversion, Credit, Outcome, Probe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackstream.core.models import Weigh
    from trackstream.core.rules import Rules

__all__ = ["ConversionState", "Decided", "GatherOutcome", "decided", "unanswered"]


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
    claims: str = ""
    """What it claims, as a digest."""


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
    claimed: list[Claimed] = []
    """Touches that are known to be of other devices; see `Claim`."""


class GatherOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What goes out: probes, outcomes, claims to the identity log, the decision if it is new."""

    probes: list[Probe] = []
    outcomes: list[Outcome] = []
    subject_outcome: Outcome | None = None
    """For the conversion's subject, if it is new."""
    claims: list[Claim] = []
    attribution: Attribution | None = None
    failed_models: dict[str, str] = {}
    """Models that have given no credits, and why."""


def decided(
    state: ConversionState,
    asked: list[str],
    *,
    at_ms: int,
    rules: Rules,
    models: Mapping[str, Weigh],
    replay: bool,
) -> tuple[ConversionState, GatherOutcome]:
    """Decide of what is known, and publish it where it differs from the decision before.

    Args:
        state: what is known.
        asked: identifiers that are to be asked now, or again in a replay.
        at_ms: now, epoch milliseconds; dates a new decision.
        rules: by which; the state keeps their version.
        models: multi-touch models by name.
        replay: whether what is published may have been lost, so that it is to be published again.
    """
    claimed = {one.touch_id for one in state.claimed}
    decision = decide(state.conversion, state.found, state.priors, claimed, rules=rules)
    missing = unanswered(state)
    touch_id = decision.touch.touch_id if decision.touch else None
    shared, failed = credits_of(state.conversion, decision, rules=rules, models=models)
    made_of = _digest(state, decision, shared)
    mine = claims(state.conversion, state.found.values())
    told = _digest_of(mine) if mine else ""
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
            claims=told,
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
        claims=mine if replay or old is None or old.claims != told else [],
        attribution=attribution(after, decision, now, shared, rules),
    )


def _digest(state: ConversionState, decision: Decision, shared: list[Credit]) -> str:
    """All that is published of a decision besides its name.

    Whoever decides again under other rules needs what had no influence under these.
    """
    published = (
        decision.reattribution,
        decision.confidence,
        [
            (one.touch.touch_id, one.verdict, one.flags, one.identifiers)
            for one in decision.candidates
        ],
        sorted((key, one.identifiers) for key, one in state.priors.items()),
        shared,
    )
    return _digest_of(published)


def _digest_of(said: object) -> str:
    return hashlib.blake2b(msgspec.json.encode(said), digest_size=8).hexdigest()


def unanswered(state: ConversionState) -> list[str]:
    """Identifiers that were asked and have not answered."""
    return sorted(set(state.depths) - set(state.answered))
