"""Rows of counters: what is added, once, and within 64 bits."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tables.campaign_activity import Activity
from tables.counters import add, plus, sum_of
from trackstream import codec
from trackstream.core.cells import Cell, joined, total
from trackstream.core.money import within_64_bits
from trackstream.core.session_records import published
from trackstream.core.sessions import SessionState

if TYPE_CHECKING:
    from trackstream.core.records import Session

GREATEST, LEAST = 2**63 - 1, -(2**63)
amounts = st.integers(-(10**18) + 1, 10**18 - 1)


@given(st.lists(amounts, min_size=1, max_size=40))
def test_a_row_can_be_written_whatever_it_adds_up(some: list[int]) -> None:
    changes = [Activity(conversions=1, revenue_micros={"EUR": one}) for one in some]
    row: Activity | None = None
    for offset, change in enumerate(changes):
        row = add(row, change, offset=offset)
    assert row is not None
    assert row.conversions == len(some)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=Activity) == row
    assert -(2**63) <= row.revenue_micros.get("EUR", 0) < 2**63
    if abs(sum(some)) < 10**18 and len(some) < 5:
        assert row.revenue_micros.get("EUR", 0) == sum(some)


def test_sums_stay_at_their_bounds() -> None:
    assert [within_64_bits(one) for one in (GREATEST, GREATEST + 1, 10**30)] == [GREATEST] * 3
    assert [within_64_bits(one) for one in (LEAST, LEAST - 1, -(10**30))] == [LEAST] * 3
    great = Activity(clicks=GREATEST, revenue_micros={"EUR": GREATEST, "USD": LEAST})
    assert plus(great, great) == great == sum_of(Activity, [great, great, great])


def session_of(cells: list[Cell]) -> Session:
    state = SessionState(session_id="s", cells=cells)
    return published(state, app_id="a", subject="a|d", person="d", status="open")


def test_a_session_can_be_published_whatever_is_bought_in_it() -> None:
    cells = [Cell((n, 0), (n, 0), revenue_micros={"USD": 10**18 - 1}) for n in range(40)]
    session = session_of(cells)
    assert session.revenue_micros == {"USD": GREATEST}
    assert codec.decode(codec.encode(session)) == session
    state = SessionState(session_id="s", cells=[total(cells)])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=SessionState) == state


def test_of_many_currencies_the_same_are_kept_in_any_order() -> None:
    cells = [Cell((n, 0), (n, 0), revenue_micros={f"C{n:02}": n + 1}) for n in range(40)]
    first = reduce(joined, cells)
    assert first.revenue_micros == {f"C{n:02}": n + 1 for n in range(16)}
    assert reduce(joined, reversed(cells)) == first
