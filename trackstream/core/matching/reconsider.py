"""A decision made again because somebody asks for it: by other rules, of all that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackstream.core.credits import MODELS
from trackstream.core.matching.conversion import ConversionState, Decided, GatherOutcome, decided

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
        where answers are awaited, it will be decided by them when these have come.
    """
    replay = offset <= state.applied
    if not replay:
        last = state.decided and _raised(state.decided, state, revised, rules)
        state = msgspec.structs.replace(
            state, applied=offset, rules_version=rules.version, decided=last
        )
    if state.decided is None or state.deadline_ms is not None:
        return state, GatherOutcome()
    return decided(state, [], at_ms=at_ms, rules=rules, models=models, replay=replay)


def _raised(last: Decided, state: ConversionState, revised: Attribution, rules: Rules) -> Decided:
    """The last decision, after which the next has a number that is not taken."""
    before = revised.revision - 1
    # What is published names its rules: under others it is another decision, even if the same.
    # One whose number others have passed was never heard of: the conversion was forgotten once.
    if state.rules_version == rules.version and last.revision >= before:
        return last
    return msgspec.structs.replace(last, revision=max(last.revision, before), made_of="")
