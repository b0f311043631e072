"""Which rules a conversion is decided by, and what is told of models that fail."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trackstream.core.matching import gather as gathering
from trackstream.core.matching.reconsider import reconsider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.steps import At
    from trackstream.core.matching.conversion import ConversionState, GatherOutcome
    from trackstream.core.models import Weigh
    from trackstream.core.records import Answer, Attribution
    from trackstream.core.rules import Rules
    from trackstream.ports import RulesBook

__all__ = ["Decider"]

_log = logging.getLogger(__name__)


class Decider:
    """`core.matching.gather` under the rules of each conversion's first decision.

    Args:
        book: The rules of all apps.
        models: Multi-touch models by name.
    """

    def __init__(self, book: RulesBook, models: Mapping[str, Weigh]) -> None:
        self._book = book
        self._models = models
        self._told: set[tuple[str, ...]] = set()

    def gather(
        self, state: ConversionState | None, answer: Answer, at: At
    ) -> tuple[ConversionState, GatherOutcome]:
        """Apply an answer; see `core.matching.gather.gather`."""
        rules = self.rules_for(state, answer.conversion.app_id, at.ms)
        after, outcome = gathering.gather(
            state, answer, offset=at.offset, at_ms=at.ms, rules=rules, models=self._models
        )
        self._tell_failures(outcome)
        return after, outcome

    def expire(self, state: ConversionState, at_ms: int) -> tuple[ConversionState, GatherOutcome]:
        """Decide what has waited too long; see `core.matching.gather.expire`."""
        rules = self.rules_for(state, state.conversion.app_id, at_ms)
        after, outcome = gathering.expire(state, at_ms=at_ms, rules=rules, models=self._models)
        self._tell_failures(outcome)
        return after, outcome

    def reconsider(
        self, state: ConversionState, revised: Attribution, at: At
    ) -> tuple[ConversionState, GatherOutcome]:
        """Decide again by other rules; see `core.matching.reconsider`.

        Raises:
            LookupError: Nobody knows these rules.
        """
        rules = self._book.version(revised.app_id, revised.rules_version)
        if at.offset <= state.applied:
            rules = self.rules_for(state, revised.app_id, at.ms)
        if rules is None:
            raise LookupError(f"{revised.app_id} never had the rules {revised.rules_version}")
        after, outcome = reconsider(
            state, revised, offset=at.offset, at_ms=at.ms, rules=rules, models=self._models
        )
        self._tell_failures(outcome)
        return after, outcome

    def rules_for(self, state: ConversionState | None, app_id: str, at_ms: int) -> Rules:
        """Those of the first decision; before there is one, those that count at that moment.

        Rules that nobody knows any more are replaced by these, too, which the log says once.
        """
        current = self._book.current(app_id, at_ms=at_ms)
        version = state.rules_version if state else None
        if version is None or version == current.version:
            return current
        first = self._book.version(app_id, version)
        if first is None and self._first("rules", app_id, version):
            _log.warning(
                "the rules %s of %s are gone: what they decided is decided again by %s",
                version,
                app_id,
                current.version,
            )
        return first or current

    def _tell_failures(self, outcome: GatherOutcome) -> None:
        for model, why in outcome.failed_models.items():
            if self._first("model", model):
                _log.error("the model %s gives no credits: %s", model, why)

    def _first(self, *words: str) -> bool:
        new = words not in self._told
        self._told.add(words)
        return new
