"""What nothing has changed for long is found, a part of a table at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tables.state import today
from trackstream.core.forgetting import DECISION_DAYS, WINDOW_DAYS
from trackstream.core.matching.owner import IdentifierState
from trackstream.core.records import Prior
from trackstream.core.visits import VisitorState

if TYPE_CHECKING:
    import msgspec

    from tables.base import StateTable
    from trackstream.application import Application

KEPT_DAYS = 400
CLICKED = IdentifierState(links=[], priors=[])
KNOWN = IdentifierState(priors=[Prior(conversion_id="c", kind="install", at_ms=1)])
VISITOR = VisitorState(app_id="demo", subject="demo|device:a", applied=3, newest_ms=1)


def put(table: StateTable[Any], states: dict[str, Any], *, ago_days: int) -> None:
    """Store states as they would have been written some days ago."""
    held = []
    for key, state in states.items():
        data = table.codec.encode(state)
        day = today() - ago_days
        held.append((key, state, bytes((data[0], *day.to_bytes(2))) + data[3:]))
    table.apply(0, held, offset=7)


@pytest.mark.parametrize(
    ("name", "state", "days"),
    [
        ("touchpoints", CLICKED, WINDOW_DAYS),
        ("touchpoints", KNOWN, KEPT_DAYS),
        ("touchpoints", IdentifierState(links=["user:u"]), KEPT_DAYS),
        ("visitors", VISITOR, KEPT_DAYS),
        ("visitors", VisitorState(app_id="demo", subject="demo|cookie:c"), WINDOW_DAYS),
    ],
)
def test_a_state_is_kept_for_its_days_and_no_longer(
    app: Application, name: str, state: msgspec.Struct, days: int
) -> None:
    table = app.state_tables.by_name()[name]
    put(table, {"demo|old": state}, ago_days=days + 1)
    put(table, {"demo|young": state}, ago_days=days)
    put(table, {"demo|new": state}, ago_days=0)

    assert table.forgettable(0, 100) == ["demo|old"]


def test_a_table_is_looked_through_a_part_at_a_time_and_again(app: Application) -> None:
    table = app.state_tables.touchpoints
    names = [f"demo|click:{n:03}" for n in range(25)]
    put(table, dict.fromkeys(names, CLICKED), ago_days=DECISION_DAYS)

    parts = [table.forgettable(0, 10) for _ in range(3)]
    assert [name for part in parts for name in part] == names
    assert [len(part) for part in parts] == [10, 10, 5]
    assert table.forgettable(0, 10) == names[:10]


def test_counters_are_kept_until_their_own_time_is_over(app: Application) -> None:
    for table in app.state_tables.counters:
        assert table.forgettable(0, 100) == []


def test_today_is_a_day_of_this_era() -> None:
    assert 20_000 < today() == int(time.time() / 86_400) < 2**16
