"""A decision made again because somebody asks for it: by other rules, of all that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackstream.core.credits import MODELS
from trackstream.core.matching.conversion import ConversionState, GatherOutcome, decided

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackstream.core.models import Weigh
    from trackstream.core.records import Attribution
    from trackstream.core.rules import Rules

__all__ = ["reconsider"]


def reconsider(
    state: ConversionState,
    revised: Attribution,
    *,
    offset: int,
    at_ms: int,
    rules: Rules,
    models: Mapping[str, Weigh] = MODELS,
) -> tuple[ConversionState, GatherOutcome]:
    """Decide a conversion again, and from now on, by the rules of a replayed decision.

    What was replayed is only asked for: more may have become known since, and what is inherited
    may be on its way. So it cannot come too late, and the order of several makes no difference.

    Args:
        state: what is known of the conversion.
        revised: the replayed decision, on the topic `candidates`; no revision has a lower number.
        offset: its offset in its partition; one already applied is a replay of the log.
        at_ms: now, epoch milliseconds; dates the decision.
        rules: of `revised.rules_version`; in a replay of the log of `state.rules_version`.
        models: multi-touch models by name.

    Returns:
        The state after, and what to send: nothing where it was decided by these rules already;
        where answers are awaited, it will be decided by them when they have come.
    """
    last = state.decided
    replay = offset <= state.applied
    if last is not None and not replay:
        # What is published names its rules: under others it is another decision, even if the same.
        again = state.rules_version != rules.version
        last = msgspec.structs.replace(
            last,
            revision=max(last.revision, revised.revision - 1),
            made_of="" if again else last.made_of,
        )
        state = msgspec.structs.replace(
            state, applied=offset, rules_version=rules.version, decided=last
        )
    if last is None or state.deadline_ms is not None:
        return state, GatherOutcome()
    return decided(state, [], at_ms=at_ms, rules=rules, models=models, replay=replay)
