"""Decisions made again from what was published of them, under other rules.

A published decision holds all that it was made of: the conversion, every touch with the identifiers
by which it was found, and the conversions before it. So it can be made again as it would have been
under other windows, waterfall, fraud rules, models. What rules say of the *gathering* (`GATHERING`)
has no effect here: which events are conversions and what was found of them is past.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trackstream.core.credits import MODELS, credits_of
from trackstream.core.identifiers import FINGERPRINT
from trackstream.core.matching.candidates import ANOTHERS, Found, FoundPrior
from trackstream.core.matching.conversion import ConversionState, Decided
from trackstream.core.matching.decide import Decision, decide
from trackstream.core.matching.told import attribution
from trackstream.core.privacy import private_attribution
from trackstream.core.records import Attribution, Credit, Earlier, Prior, Touch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackstream.core.models import Weigh
    from trackstream.core.rules import Rules

__all__ = ["GATHERING", "Brought", "Difference", "Replayed", "again"]

GATHERING = (
    *("conversion_events", "reengagement_events", "depth", "max_asked"),
    *("max_touches", "max_links", "max_probes"),
)
"""Rules that say what becomes known, which decisions of the past do not ask again."""


class Brought(NamedTuple):
    """What a conversion is attributed to, and how sure that is."""

    touch: Touch | None
    confidence: float = 1.0


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """One decision, as it is and as it would be."""

    stored: Attribution
    decision: Decision
    revised: Attribution | None = None
    """The revision after the stored one; None where nothing differs."""
    only_credits: bool = False
    """Whether only what multi-touch models give differs."""


def again(
    stored: Attribution,
    brought: Mapping[str, Brought],
    *,
    at_ms: int,
    rules: Rules,
    models: Mapping[str, Weigh] = MODELS,
) -> Replayed | None:
    """Make a decision again.

    Args:
        stored: its newest revision; the order of its credits does not matter.
        brought: of each earlier conversion, by its id, what it is attributed to, decided again
            itself: so conversions are replayed in the order of (time, id). One that is not there
            is as it was when this decision took it over, else taken as organic.
        at_ms: when this is decided.
        rules: under which.
        models: multi-touch models by name.

    Returns:
        None if what is stored does not say enough: it was published without its conversion.
    """
    if stored.conversion is None:
        return None
    conversion = stored.conversion
    found = {
        one.touch.touch_id: Found(one.touch, one.identifiers or [one.identifier])
        for one in stored.candidates
    }
    priors = {
        one.conversion_id: FoundPrior(_prior(one, stored, brought), one.identifiers)
        for one in stored.earlier
    }
    claimed = {one.touch.touch_id for one in stored.candidates if one.verdict == ANOTHERS}
    # Of addresses that were cut for privacy it cannot be told again.
    confidences = {
        one.touch.touch_id: one.confidence
        for one in stored.candidates
        if one.identifier == FINGERPRINT
    }
    decision = decide(conversion, found, priors, claimed, rules=rules, confidences=confidences)
    touch_id, old_touch_id = _id(decision.touch), _id(stored.touch)
    shared, _ = credits_of(conversion, decision, rules=rules, models=models)
    same = (decision.method, touch_id, decision.inherited_from) == (
        stored.method,
        old_touch_id,
        stored.inherited_from,
    )
    if same and _shares(shared) == _shares(stored.credits):
        return Replayed(stored=stored, decision=decision)
    now = Decided(
        revision=stored.revision + 1,
        at_ms=at_ms,
        method=decision.method,
        touch_id=touch_id,
        inherited_from=decision.inherited_from,
        unanswered=stored.unanswered,
        previous_method=stored.method,
        previous_touch_id=old_touch_id,
    )
    state = ConversionState(
        conversion=conversion, deadline_ms=None, found=found, priors=priors, decided=now
    )
    revised = attribution(state, decision, now, shared, rules)
    revised = private_attribution(revised, rules.ip_privacy)
    return Replayed(stored=stored, decision=decision, revised=revised, only_credits=same)


def _shares(credited: list[Credit]) -> set[tuple[str, str, int, int | None]]:
    return {(one.model, one.touch_id, one.share_millionths, one.revenue_micros) for one in credited}


def _prior(one: Earlier, stored: Attribution, brought: Mapping[str, Brought]) -> Prior:
    known = brought.get(one.conversion_id)
    if known is None:
        is_source = one.conversion_id == stored.inherited_from
        known = Brought(stored.touch, stored.confidence) if is_source else Brought(None)
    return Prior(
        conversion_id=one.conversion_id,
        kind=one.kind,
        at_ms=one.at_ms,
        touch=known.touch,
        confidence=known.confidence,
    )


def _id(touch: Touch | None) -> str | None:
    return touch.touch_id if touch else None


class Difference:
    """What replaying many decisions has changed, counted as they go by.

    Args:
        examples: How many ids of changed conversions to keep.

    Attributes:
        replayed: Decisions that were made again.
        changed: Those of them that differ.
        only_credits: Of these, those in which only what multi-touch models give does.
        untold: Decisions that could not be: published without their conversion.
        before: Conversions by campaign as stored; None: of no campaign.
        after: The same as they would be.
        methods: The others by (method before, method after).
        examples: The first that have changed.
    """

    def __init__(self, examples: int = 5) -> None:
        self.replayed = 0
        self.changed = 0
        self.only_credits = 0
        self.untold = 0
        self.before: Counter[str | None] = Counter()
        self.after: Counter[str | None] = Counter()
        self.methods: Counter[tuple[str, str]] = Counter()
        self.examples: list[str] = []
        self._most_examples = examples

    def add(self, one: Replayed | None) -> None:
        """Count one decision; None: it could not be made again."""
        if one is None:
            self.untold += 1
            return
        self.replayed += 1
        stored, decision = one.stored, one.decision
        self.before[stored.touch.campaign_id if stored.touch else None] += 1
        self.after[decision.touch.campaign_id if decision.touch else None] += 1
        if one.revised is None:
            return
        self.changed += 1
        if one.only_credits:
            self.only_credits += 1
        else:
            self.methods[stored.method, decision.method] += 1
        if len(self.examples) < self._most_examples:
            self.examples.append(stored.conversion_id)
