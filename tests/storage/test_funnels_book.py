"""How a worker comes to know the funnels of apps, and from when on each definition counts."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from tests.waiting import PATIENCE_S
from trackstream.core.live_funnels import NO_FUNNELS
from trackstream.storage.database import make_engine
from trackstream.storage.errors import StorageUnavailableError
from trackstream.storage.funnels import set_funnels
from trackstream.storage.funnels_book import CachedFunnels, NoFunnels
from trackstream.storage.rules import EFFECTIVE_AFTER_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Engine

    from trackstream.storage.registry import Registry

STEPS = 'steps = [{ event = "a" }, { event = "b" }]\n'
FIRST = f'[one]\nwithin = "1m"\n{STEPS}'
SECOND = f'{FIRST}[two]\nwithin = "1m"\n{STEPS}'
THIRD = SECOND.replace("1m", "2m", 1)
FAR_MS = 10**14


@pytest.fixture
async def book(
    migrated_url: str, engine: Engine, registry: Registry
) -> AsyncIterator[CachedFunnels]:
    registry.create_app("shop")
    book = CachedFunnels(make_engine(migrated_url), refresh_s=0.05)
    yield book
    await book.stop()


def since(book: CachedFunnels, at_ms: int) -> dict[str, int]:
    return {name: one.since_ms for name, one in book.current("shop", at_ms=at_ms).by_name.items()}


async def test_a_definition_counts_from_its_moment_on_for_as_long_as_it_stays(
    book: CachedFunnels, engine: Engine
) -> None:
    await book.start()
    assert book.current("shop", at_ms=FAR_MS) is NO_FUNNELS
    files = [FIRST, SECOND, THIRD, SECOND]
    moments = []
    for file in files:
        done = await asyncio.to_thread(set_funnels, engine, "shop", file)
        assert done.effective_at_ms - done.set_at_ms in range(
            EFFECTIVE_AFTER_S * 1000 - 1, EFFECTIVE_AFTER_S * 1000 + 1000
        )
        moments.append(done.effective_at_ms)
    first, second, third, fourth = moments
    async with asyncio.timeout(PATIENCE_S):
        while since(book, FAR_MS).get("one") != fourth:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    assert since(book, first - 1) == {}
    assert since(book, first) == since(book, second - 1) == {"one": first}
    assert since(book, second) == {"one": first, "two": second}
    assert since(book, third) == {"one": third, "two": second}
    # Defined again as it was once, it begins anew: what was not counted meanwhile is missing.
    assert since(book, fourth) == {"one": fourth, "two": second}
    assert book.current("other", at_ms=FAR_MS) is NO_FUNNELS
    assert book.apps() == ["shop"]


async def test_a_clock_that_was_set_back_gives_no_moment_twice(
    book: CachedFunnels, engine: Engine
) -> None:
    first = set_funnels(engine, "shop", FIRST).effective_at_ms
    for file in (THIRD, FIRST):
        set_funnels(engine, "shop", file)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE funnels SET effective_at = effective_at - interval '1 h' WHERE seq > 1")
        )
    await book.start()
    assert since(book, first) == {"one": first}
    assert since(book, first + 1) == {"one": first + 1, "two": first + 1}
    assert since(book, FAR_MS) == {"one": first + 2}


async def test_a_file_that_cannot_be_read_any_more_counts_as_none(
    book: CachedFunnels, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    set_funnels(engine, "shop", FIRST)
    with engine.begin() as connection:
        connection.execute(text("UPDATE funnels SET toml = '[one]'"))
    await book.start()
    assert not book.current("shop", at_ms=FAR_MS)
    assert "the funnels of shop cannot be read: one.steps" in caplog.text


async def test_it_does_not_start_without_what_it_counts(caplog: pytest.LogCaptureFixture) -> None:
    book = CachedFunnels(make_engine("postgresql://u@127.0.0.1:1/d"))
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(StorageUnavailableError, match=r"funnels of apps cannot be read .*refused"),
    ):
        await book.start(timeout_s=1)
    assert len(caplog.records) == 1


def test_without_a_database_there_are_none() -> None:
    assert NoFunnels().current("any", at_ms=0) is NO_FUNNELS
    assert NoFunnels().apps() == []
