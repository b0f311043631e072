"""Money as exact integers: millionths of the currency unit."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["micros", "revenue"]

_LARGEST = 10**18 - 1
_NAMES = ("revenue", "total", "value")


def micros(value: object) -> int | None:
    """Millionths in a number or a numeric string, rounded half to even; None if it is neither.

    A float is read by its shortest decimal form, so that 49.99 is 49_990_000.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        exact = Decimal(str(value))
        scaled = int((exact * 1_000_000).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        return None
    return scaled if abs(scaled) <= _LARGEST else None


def revenue(properties: Mapping[str, Any]) -> tuple[int | None, str | None]:
    """(micros, ISO 4217 code in upper case) that an event's properties state; (None, None) if none.

    The names are those of Segment's e-commerce spec: `revenue`, else `total`, else `value`.
    """
    for name in _NAMES:
        amount = micros(properties.get(name))
        if amount is not None:
            code = properties.get("currency")
            known = isinstance(code, str) and len(code) == 3 and code.isalpha()
            return amount, str(code).upper() if known else None
    return None, None
