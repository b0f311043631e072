"""Credits as money: whole minor units (cents) that sum exactly to the revenue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.core.models.credit import apportion

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["exponent", "money"]

# Source: ISO 4217, list one, column "minor unit"; all others have 2.
_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_EXPONENTS = {
    **dict.fromkeys(_NONE.split(), 0),
    **dict.fromkeys(_THREE.split(), 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}


def exponent(currency: str | None) -> int:
    """How many decimal digits a currency's amounts have; 2 for an unknown one."""
    return _EXPONENTS.get((currency or "").upper(), 2)


def money(revenue_micros: int, shares: Sequence[int], digits: int = 2) -> list[int]:
    """Split an amount as the credits are, by the largest remainder.

    Args:
        revenue_micros: the amount in millionths; negative for a refund.
        shares: the credits, of `credit`.
        digits: decimal digits of the currency: 2 splits to the cent.

    Returns:
        Millionths for each share, in sum exactly the amount; none of the other sign. Each is a
        whole number of minor units; but an amount that is none itself (an ad's 0.0013 USD) is
        split to the millionth.
    """
    unit = 10 ** (6 - digits)
    if revenue_micros % unit:
        unit = 1
    return [part * unit for part in apportion(shares, revenue_micros // unit)]
