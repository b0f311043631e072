"""Until when a touch can have brought a conversion, or any event."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackstream.core.records import Conversion
    from trackstream.core.rules import Rules

__all__ = ["horizon_ms", "latest_ms"]


def horizon_ms(conversion: Conversion, rules: Rules) -> int:
    """`latest_ms` of a conversion, of which it may be known that it was long before its arrival."""
    known_ms = conversion.latest_at_ms
    latest_at_ms = conversion.received_at_ms if known_ms is None else known_ms
    return latest_ms(conversion.at_ms, latest_at_ms, rules)


def latest_ms(at_ms: int, latest_at_ms: int | None, rules: Rules) -> int:
    """The latest time, epoch milliseconds, of a touch that is not too late for an event.

    A touch has the collector's time, an event its device's: clocks that are some seconds behind and
    times in whole seconds would put the click after the install that it led to. What happened
    before the event can have happened at the latest, and within the tolerance of its time, is
    taken as before it.

    Args:
        at_ms: the event's time, by its device's clock as far as it is corrected.
        latest_at_ms: by the collector's clock it was no later: its arrival, or less.
        rules: the tolerance.
    """
    if latest_at_ms is None or latest_at_ms <= at_ms:
        return at_ms
    return min(latest_at_ms, at_ms + rules.clock_tolerance_ms)
