"""The tables: one file each, `define(app)`; all of them here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tables import (
    app_activity,
    campaign_activity,
    conversions,
    funnel_activity,
    touchpoints,
    visitors,
)
from tables.store import StoreOptions

if TYPE_CHECKING:
    from faust.types import AppT

    from tables.base import StateTable
    from tables.campaign_activity import Activity
    from trackstream.core.activity import AppActivity
    from trackstream.core.funnel_progress import FunnelCounts
    from trackstream.core.matching.conversion import ConversionState
    from trackstream.core.matching.owner import IdentifierState
    from trackstream.core.rules import Rules
    from trackstream.core.visits import VisitorState

__all__ = ["Tables", "define"]


@dataclass(frozen=True, slots=True)
class Tables:
    """All tables of the service."""

    visitors: StateTable[VisitorState]
    touchpoints: StateTable[IdentifierState]
    conversions: StateTable[ConversionState]
    campaign_activity: StateTable[Activity]
    app_activity: StateTable[AppActivity]
    funnel_activity: StateTable[FunnelCounts]

    @property
    def counters(self) -> frozenset[StateTable[Any]]:
        """Those that count: written with a batch's outputs, before the states."""
        return frozenset({self.campaign_activity, self.app_activity, self.funnel_activity})

    def by_name(self) -> dict[str, StateTable[Any]]:
        """Each under the name that it has in Faust, in the changelog and in URLs."""
        every: list[StateTable[Any]] = [
            self.visitors,
            self.touchpoints,
            self.conversions,
            self.campaign_activity,
            self.app_activity,
            self.funnel_activity,
        ]
        return {table.name: table for table in every}


def define(
    app: AppT,
    *,
    rules: Rules,
    block_cache_mib: int,
    memory_days: int,
) -> Tables:
    """Add every table to the app.

    Args:
        app: The Faust app.
        rules: Say when a subject's sessions want a tick.
        memory_days: For how long subjects and identifiers are remembered after their last change.
        block_cache_mib: RocksDB's block cache, one for all tables and partitions.
    """
    options: dict[str, Any] = {"store_options": StoreOptions(block_cache_mib)}
    return Tables(
        visitors=visitors.define(app, rules=rules, memory_days=memory_days, **options),
        touchpoints=touchpoints.define(app, memory_days=memory_days, **options),
        conversions=conversions.define(app, **options),
        campaign_activity=campaign_activity.define(app, **options),
        app_activity=app_activity.define(app, **options),
        funnel_activity=funnel_activity.define(app, **options),
    )
