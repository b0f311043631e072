"""Sessions that become one in several steps: readers find all events in the one that is left."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations
from typing import TYPE_CHECKING

import msgspec
import pytest
from alembic import command
from sqlalchemy import text

from tests.core.visiting import NOW, START, apply, envelope, page
from tests.storage.records import a_session
from tests.storage.warehoused import write, writing
from trackstream.core.funnels import Funnel, Step
from trackstream.storage.funnels import count
from trackstream.storage.migrations import _config, migrate

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from trackstream.core.records import Event, Session
    from trackstream.core.visits import VisitorState

CHAIN = [
    a_session("d", revision=2, status="merged", merged_into="c"),
    a_session("c", revision=2, status="merged", merged_into="b"),
    a_session("b", revision=2, status="merged", merged_into="a"),
]
LEADS_TO = {"a": None, "b": "a", "c": "a", "d": "a"}
OPENED = [a_session(one) for one in "abcd"]


def leads_to(engine: Engine, app_id: str = "demo") -> dict[str, str | None]:
    query = text("SELECT session_id, merged_into FROM fact_sessions WHERE app_id = :app_id")
    with engine.begin() as connection:
        rows = connection.execute(query, {"app_id": app_id}).all()
    return {row.session_id: row.merged_into for row in rows}


def parts(order: tuple[Session, ...], size: int) -> list[tuple[Session, ...]]:
    return [order[begin : begin + size] for begin in range(0, len(order), size)]


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_chain_is_one_step_in_every_order_of_arrival(
    engine: Engine, migrated_url: str, at_once: int
) -> None:
    orders = list(permutations(CHAIN))
    with writing(migrated_url) as written:
        for number, order in enumerate(orders):
            for part in (OPENED, *parts(order, at_once)):
                written(*(msgspec.structs.replace(one, app_id=f"app{number}") for one in part))
    for number, order in enumerate(orders):
        assert leads_to(engine, f"app{number}") == LEADS_TO, [one.session_id for one in order]


def test_another_apps_session_of_that_name_is_another(engine: Engine, migrated_url: str) -> None:
    other = msgspec.structs.replace(CHAIN[1], app_id="other")
    write(migrated_url, CHAIN[0], other)
    assert leads_to(engine) == {"d": "c"}


def test_a_ring_ends(engine: Engine, migrated_url: str) -> None:
    """No worker makes one; whoever writes to the topic by himself stops nobody."""
    ring = a_session("a", revision=2, status="merged", merged_into="d")
    write(migrated_url, *CHAIN, ring)
    assert set(leads_to(engine)) == set("abcd")


def test_events_of_a_session_that_was_three_are_found_by_one_step(
    engine: Engine, migrated_url: str
) -> None:
    # Three sessions that the last two make one.
    orders = [
        (*apart, *between)
        for apart in permutations((0, 35, 70))
        for between in ((52, 17), (17, 52))
    ]
    funnel = Funnel(
        name="f",
        by="session",
        within_ms=24 * 3_600_000,
        steps=(Step(events=("at0",)), Step(events=("at70",))),
    )
    begin, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (START - 1, NOW))
    query = text(
        "SELECT count(DISTINCT coalesce(s.merged_into, e.session_id)), count(*) "
        "FROM fact_events AS e LEFT JOIN fact_sessions AS s USING (app_id, session_id) "
        "WHERE e.app_id = :app_id"
    )
    with writing(migrated_url) as written:
        for number, order in enumerate(orders):
            app_id = f"app{number}"
            state: VisitorState | None = None
            for at, minute in enumerate(order):
                event = page(minute, START + minute * 60_000, f"at{minute}")
                state, out = apply(state, envelope(event), at)
                records: list[Event | Session] = [*out.events, *out.sessions]
                written(*(msgspec.structs.replace(one, app_id=app_id) for one in records))
            with engine.begin() as connection:
                assert connection.execute(query, {"app_id": app_id}).one() == (1, 5), order
            figures = count(engine, app_id, funnel, begin=begin, end=end)
            assert [one.count for one in figures] == [1, 1], order


def test_what_was_kept_before_is_shortened_once(engine: Engine, migrated_url: str) -> None:
    write(migrated_url, *OPENED)
    with engine.begin() as connection:
        command.downgrade(_config(connection), "0026")
        for one in CHAIN:
            connection.execute(
                text("UPDATE fact_sessions SET merged_into = :into WHERE session_id = :id"),
                {"into": one.merged_into, "id": one.session_id},
            )
    migrate(migrated_url)
    assert leads_to(engine) == LEADS_TO
