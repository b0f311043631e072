"""Until when a touch can have brought a conversion."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackstream.core.records import Conversion
    from trackstream.core.rules import Rules

__all__ = ["horizon_ms"]


def horizon_ms(conversion: Conversion, rules: Rules) -> int:
    """The latest time, epoch milliseconds, of a touch that is not too late for the conversion.

    A touch has the collector's time, a conversion its device's: clocks that are some seconds behind
    and times in whole seconds would put the click after the install that it led to. What happened
    before the conversion arrived, and within the tolerance of its time, is taken as before it.
    """
    arrived_ms = conversion.received_at_ms
    if arrived_ms is None or arrived_ms <= conversion.at_ms:
        return conversion.at_ms
    return min(arrived_ms, conversion.at_ms + rules.clock_tolerance_ms)
