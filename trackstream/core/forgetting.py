"""For how many days after its last change a state is kept, by what is in it.

What only waits for a touch's window to pass is kept a little longer than the longest window; what
says who somebody is, or which campaign brought them, for as long as the operator says: events of a
subject that comes back sooner still inherit, and a reinstall is known as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackstream.core.matching.conversion import ConversionState
    from trackstream.core.matching.owner import IdentifierState
    from trackstream.core.visitor import VisitorState

__all__ = ["DECISION_DAYS", "WINDOW_DAYS", "conversion_days", "identifier_days", "visitor_days"]

WINDOW_DAYS = 31
"""The longest window that rules may have is 30 days."""
DECISION_DAYS = 90
"""For how long what arrives late can still revise a decision."""


def visitor_days(state: VisitorState, *, memory_days: int) -> int:
    """Days for a subject: fewer for one that has clicked and has had no events."""
    return memory_days if state.applied >= 0 and state.newest_ms else WINDOW_DAYS


def identifier_days(state: IdentifierState, *, memory_days: int) -> int:
    """Days for an identifier: fewer for one with touches alone, as most clicks leave it."""
    if state.priors or state.links:
        return memory_days
    return DECISION_DAYS if state.probes else WINDOW_DAYS


def conversion_days(_: ConversionState) -> int:
    """Days for a conversion, whose decision stays in PostgreSQL and under its identifiers."""
    return DECISION_DAYS
