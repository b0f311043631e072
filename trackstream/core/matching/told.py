"""The records that go out when a conversion asks further, and when it is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.core.identifiers import is_probabilistic
from trackstream.core.records import Attribution, Earlier, Outcome, Probe

if TYPE_CHECKING:
    from trackstream.core.matching.conversion import ConversionState, Decided
    from trackstream.core.matching.decide import Decision
    from trackstream.core.records import Conversion, Credit
    from trackstream.core.rules import Rules

__all__ = ["attribution", "outcomes", "probes", "subject_outcome"]

_WON = ("install", "reengagement")


def probes(state: ConversionState, asked: list[str]) -> list[Probe]:
    """Probes for identifiers reached by links; `enrich` has sent those for the conversion's own."""
    return [
        Probe(
            app_id=state.conversion.app_id,
            identifier=one,
            conversion=state.conversion,
            depth=state.depths[one],
        )
        for one in asked
        if state.depths[one] > 0
    ]


def outcomes(conversion: Conversion, decision: Decision, now: Decided) -> list[Outcome]:
    """What the owners of the conversion's identifiers are told of its decision."""
    return [
        Outcome(
            app_id=conversion.app_id,
            identifier=one,
            conversion_id=conversion.conversion_id,
            kind=conversion.kind,
            at_ms=conversion.at_ms,
            revision=now.revision,
            method=decision.method,
            touch=decision.touch,
            confidence=decision.confidence,
        )
        for one in conversion.identifiers
        if not is_probabilistic(one)
    ]


def subject_outcome(conversion: Conversion, decision: Decision, now: Decided) -> Outcome | None:
    """What the conversion's subject is told, on `raw`: by which touch it was won, or won back.

    None of other conversions, which win nobody, and of a decision that says of it what the one
    before said: no touch, at first.
    """
    was, touch_id = now.previous_touch_id, now.touch_id
    same = was == touch_id and (was is None or now.previous_method == now.method)
    if same or conversion.kind not in _WON:
        return None
    return Outcome(
        app_id=conversion.app_id,
        identifier=conversion.subject.partition("|")[2],
        conversion_id=conversion.conversion_id,
        kind=conversion.kind,
        at_ms=conversion.at_ms,
        revision=now.revision,
        method=decision.method,
        touch=decision.touch,
        confidence=decision.confidence,
    )


def attribution(
    state: ConversionState, decision: Decision, now: Decided, shared: list[Credit], rules: Rules
) -> Attribution:
    """The decision as it is published."""
    conversion = state.conversion
    inherited = state.priors.get(decision.inherited_from or "")
    return Attribution(
        conversion_id=conversion.conversion_id,
        revision=now.revision,
        app_id=conversion.app_id,
        person=conversion.person,
        subject=conversion.subject,
        kind=conversion.kind,
        event=conversion.event,
        event_id=conversion.event_id,
        at_ms=conversion.at_ms,
        decided_at_ms=now.at_ms,
        method=decision.method,
        confidence=decision.confidence,
        touch=decision.touch,
        identifier=decision.identifier,
        window_ms=decision.window_ms,
        reattribution=decision.reattribution,
        inherited_from=decision.inherited_from,
        inherited_at_ms=inherited.prior.at_ms if inherited else None,
        candidates=decision.candidates,
        credits=shared,
        unanswered=now.unanswered,
        rules_version=rules.version,
        previous_method=now.previous_method,
        previous_touch_id=now.previous_touch_id,
        country=conversion.country,
        revenue_micros=conversion.revenue_micros,
        currency=conversion.currency,
        identifiers=conversion.identifiers,
        conversion=conversion,
        earlier=[
            Earlier(
                conversion_id=one.prior.conversion_id,
                kind=one.prior.kind,
                at_ms=one.prior.at_ms,
                identifiers=one.identifiers,
            )
            for _, one in sorted(state.priors.items())
        ],
    )
