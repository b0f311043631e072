"""`touchpoints`: what is known of each identifier. Key: `app|identifier`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tables.base import StateTable
from trackstream.core.forgetting import identifier_days
from trackstream.core.matching.owner import IdentifierState

if TYPE_CHECKING:
    from faust.types import AppT

__all__ = ["define"]


def define(app: AppT, *, memory_days: int, **options: Any) -> StateTable[IdentifierState]:
    """Add the table to the app."""
    return StateTable(
        app,
        name="touchpoints",
        state_type=IdentifierState,
        version=1,
        memory_days=partial(identifier_days, memory_days=memory_days),
        help="Touches, links and conversions of each identifier",
        **options,
    )
