"""`visitors`: what is remembered of each subject. Key: the subject."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tables.base import StateTable
from trackstream.core.forgetting import visitor_days
from trackstream.core.visits import VisitorState, due_ms

if TYPE_CHECKING:
    from faust.types import AppT

    from trackstream.core.rules import Rules

__all__ = ["define"]


def define(
    app: AppT, *, rules: Rules, memory_days: int, **options: Any
) -> StateTable[VisitorState]:
    """Add the table to the app."""
    return StateTable(
        app,
        name="visitors",
        state_type=VisitorState,
        version=2,
        due_ms=partial(due_ms, rules=rules),
        memory_days=partial(visitor_days, memory_days=memory_days),
        help="Open sessions, recent event ids, clock and last touches of each subject",
        **options,
    )
