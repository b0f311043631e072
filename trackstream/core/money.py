"""Money as exact integers: millionths of the currency unit."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

import msgspec

__all__ = ["PURCHASES", "REFUNDS", "Revenue", "micros", "revenue", "within_64_bits"]

_LARGEST = 10**18 - 1
_DIGITS = 12
"""Before the point."""
_MILLION = 1_000_000
_MILLIONTH = Decimal("0.000001")
_MOST = 2**63
_MOST_CHARS = 64
PURCHASES = frozenset({"purchase", "Order Completed"})
REFUNDS = frozenset({"refund", "Order Refunded"})
_NOT_PAID = frozenset({"Checkout Started", "Order Updated", "Order Cancelled"})
"""Segment's events of an order that state its `revenue` besides the one that brings it in."""
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")


class Revenue(NamedTuple):
    """What an event brings in, and what of its statement of that could not be read."""

    micros: int | None = None
    currency: str | None = None
    """ISO 4217, in upper case."""
    unread: tuple[str, ...] = ()
    """Properties that state an amount or a currency, and are none."""


_NOTHING = Revenue()


class _Stated(msgspec.Struct):
    """What of an event's properties is read; the rest is skipped over."""

    revenue: Any = None
    total: Any = None
    value: Any = None
    currency: Any = None


_DECODER = msgspec.json.Decoder(_Stated)


def micros(value: object) -> int | None:
    """Millionths in a number or a numeric string, rounded half to even; None if it is neither.

    A float is read by its shortest decimal form, so that 49.99 is 49_990_000. Text is a number as
    JSON writes it, in ASCII digits, perhaps with a sign or spaces around it. What is beyond a
    million millions is no amount, in whatever currency; what is written in more than 64 characters
    is none, either. The cost is bounded: nothing is scaled before its size is known.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    if isinstance(value, int):
        return value * _MILLION if abs(value) * _MILLION <= _LARGEST else None
    if isinstance(value, str) and len(value) > _MOST_CHARS:
        return None
    text = str(value).strip(" ")
    if len(text) > _MOST_CHARS or not _NUMBER.fullmatch(text):
        return None
    exact = Decimal(text)
    if exact.adjusted() >= _DIGITS:
        return None
    scaled = int(exact.quantize(_MILLIONTH, ROUND_HALF_EVEN).scaleb(6))
    return scaled if abs(scaled) <= _LARGEST else None


def within_64_bits(total: int) -> int:
    """The sum, or the bound of a 64-bit integer that it has passed.

    Records and states hold such integers. Ten amounts as great as one may be pass them: that is no
    shop's day, and a sum that is a bound is better than a message that nobody can write.
    """
    return total if -_MOST <= total < _MOST else max(-_MOST, min(_MOST - 1, total))


def revenue(event: str, properties: str, *, declared: bool = False) -> Revenue:
    """What an event brings in.

    `revenue` counts whatever the event; `total`, else `value`, only of a purchase or of what the
    app declares a conversion: elsewhere they are a price, or a cart. A refund is negative, however
    it is written, so that sums are net. An order that is begun or changed brings in nothing.
    Source of the names: Segment's e-commerce spec.

    Args:
        event: Its name.
        properties: As JSON text; what is none states nothing.
        declared: Whether the app's rules declare the event a conversion.
    """
    if properties == "{}" or (event in _NOT_PAID and not declared):
        return _NOTHING
    try:
        stated = _DECODER.decode(properties)
    except msgspec.DecodeError:
        return _NOTHING
    amounts = {"revenue": stated.revenue}
    refund = event in REFUNDS
    if declared or refund or event in PURCHASES:
        amounts |= {"total": stated.total, "value": stated.value}
    amount: int | None = None
    unread: list[str] = []
    for name, value in amounts.items():
        if value is None or value == "":
            continue
        amount = micros(value)
        if amount is not None:
            break
        unread.append(name)
    if amount is None and not unread:
        return _NOTHING
    currency = _currency(stated.currency)
    if currency is None and stated.currency not in (None, ""):
        unread.append("currency")
    if amount is None:
        currency = None
    return Revenue(-abs(amount) if refund and amount else amount, currency, tuple(unread))


def _currency(code: object) -> str | None:
    """Three ASCII letters, in upper case."""
    if not isinstance(code, str) or len(code) != 3 or not (code.isascii() and code.isalpha()):
        return None
    return code.upper()
