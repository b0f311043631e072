from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackstream.core.models import WHOLE, apportion, exponent, money


@pytest.mark.parametrize(
    ("currency", "digits"),
    [("EUR", 2), ("eur", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("XXX", 2), (None, 2)],
)
def test_exponents_are_those_of_iso_4217(currency: str | None, digits: int) -> None:
    assert exponent(currency) == digits


@pytest.mark.parametrize(
    ("revenue_micros", "digits", "expected"),
    [
        (100_000_000, 2, [33_340_000, 33_330_000, 33_330_000]),
        (100_000_000, 0, [34_000_000, 33_000_000, 33_000_000]),
        (100_000_000, 3, [33_334_000, 33_333_000, 33_333_000]),
        (-100_000_000, 2, [-33_340_000, -33_330_000, -33_330_000]),
        (10_000, 2, [10_000, 0, 0]),
        (0, 2, [0, 0, 0]),
        (1_300, 2, [434, 433, 433]),  # less than a cent: to the millionth
    ],
)
def test_thirds(revenue_micros: int, digits: int, expected: list[int]) -> None:
    assert money(revenue_micros, [333_334, 333_333, 333_333], digits) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=12),
    st.integers(-(10**17), 10**17),
    st.sampled_from([0, 2, 3, 4]),
)
def test_money_sums_exactly_in_minor_units(weights: list[int], amount: int, digits: int) -> None:
    shares = apportion(weights, WHOLE)
    unit = 10 ** (6 - digits)
    for revenue_micros in (amount, amount // unit * unit):
        parts = money(revenue_micros, shares, digits)
        assert sum(parts) == revenue_micros
        assert all(part * revenue_micros >= 0 for part in parts)
        if revenue_micros % unit == 0:
            assert all(part % unit == 0 for part in parts)
