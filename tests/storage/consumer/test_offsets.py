"""Claims and offsets in PostgreSQL, by the driver's cursor and by SQLAlchemy's connection."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from trackstream.storage.consumer.offsets import (
    Claim,
    Execute,
    advance,
    by_connection,
    by_cursor,
    claim,
    claimed,
)
from trackstream.storage.database import make_engine, transaction
from trackstream.storage.errors import WriterFencedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Engine

    Transaction = Callable[[], AbstractContextManager[Execute]]

FIRST, SECOND = ("t.events", 0), ("t.events", 1)


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    engine = make_engine(migrated_url)
    yield engine
    engine.dispose()


@pytest.fixture(params=["cursor", "connection"])
def begin(request: pytest.FixtureRequest, engine: Engine) -> Transaction:
    @contextmanager
    def beginning() -> Iterator[Execute]:
        with transaction(engine) as connection:
            if request.param == "connection":
                yield by_connection(connection)
            else:
                yield by_cursor(connection.connection.cursor())

    return beginning


def test_a_claim_tells_what_was_written_and_counts_the_epoch_up(begin: Transaction) -> None:
    with begin() as execute:
        claims = claim(execute, "g", [SECOND, FIRST])
    assert claims == {FIRST: Claim(None, 1), SECOND: Claim(None, 1)}
    assert claimed(claims) == {FIRST: (0, 0), SECOND: (0, 0)}
    with begin() as execute:
        advance(execute, "g", {FIRST: 7}, {FIRST: 1, SECOND: 1})
    with begin() as execute:
        claims = claim(execute, "g", [FIRST, SECOND])
    assert claims == {FIRST: Claim(7, 2), SECOND: Claim(None, 2)}
    assert claimed(claims)[FIRST] == (7, 7)


def test_one_that_was_replaced_moves_no_offset(begin: Transaction, engine: Engine) -> None:
    with begin() as execute:
        claim(execute, "g", [FIRST, SECOND])
    with begin() as execute:
        claim(execute, "g", [SECOND])
    with pytest.raises(WriterFencedError, match=r"another writer owns \[\('t.events', 1\)\]"):  # noqa: SIM117 - the error has to leave the transaction
        with begin() as execute:
            advance(execute, "g", {FIRST: 9, SECOND: 9}, {FIRST: 1, SECOND: 1})
    with engine.connect() as connection:
        found = connection.execute(text("SELECT next_offset FROM consumer_offsets"))
        assert found.scalars().all() == [None, None]


def test_groups_are_apart_and_nothing_is_claimed_of_nothing(begin: Transaction) -> None:
    with begin() as execute:
        claim(execute, "g", [FIRST])
        assert claim(execute, "other", [FIRST]) == {FIRST: Claim(None, 1)}
        assert claim(execute, "g", []) == {}
