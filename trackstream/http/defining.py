"""An event as its app has defined it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackstream.core.definitions import judge, marked
from trackstream.core.validation import ParsedEvent

if TYPE_CHECKING:
    from trackstream.core.fields import Problem
    from trackstream.http.metrics import Metrics
    from trackstream.ports import App

__all__ = ["as_defined"]


def as_defined(
    result: ParsedEvent | tuple[Problem, ...],
    named: object,
    app: App | None,
    metrics: Metrics,
) -> ParsedEvent | tuple[Problem, ...]:
    """What validation made of an event, and what its app's definitions say of it besides.

    In strict mode their problems are told together with those that validation has found; in
    lenient mode an event that is valid is accepted, and marked with them.

    Args:
        result: of validation.
        named: the event in our own words.
        app: whose it is.
        metrics: count what lenient mode lets pass, by reason.
    """
    definitions = app.definitions if app else None
    if definitions is None or not isinstance(named, dict):
        return result
    name = result.event.event if isinstance(result, ParsedEvent) else named.get("event")
    if not isinstance(name, str):
        return result
    problems = judge(definitions, name, named.get("properties"))
    if not problems:
        return result
    if isinstance(result, tuple):
        return (*result, *problems) if definitions.mode == "strict" else result
    if definitions.mode == "strict":
        return problems
    for one in problems:
        metrics.marked.add((one.reason.value,))
    return msgspec.structs.replace(result, event=marked(result.event, problems))
