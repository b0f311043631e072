"""Rules that are set in PostgreSQL, and how a worker comes to know them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from tests.waiting import PATIENCE_S
from trackstream.core.rules import DAY_MS, DEFAULT, Rules
from trackstream.core.rules_file import RulesError
from trackstream.storage.database import make_engine
from trackstream.storage.errors import NotFoundError, StorageUnavailableError
from trackstream.storage.rules import EFFECTIVE_AFTER_S, RulesStore
from trackstream.storage.rules_book import CachedRules, DefaultRules

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy import Engine

    from trackstream.storage.registry import Registry

SHORT = 'click_window = "1d"\n'
LONG = '# generous\nclick_window = "30d"\n'
BASE = Rules(version="default-1+gap60+wait30", session_gap_ms=60_000)
FAR_MS = 10**14


@pytest.fixture
def store(engine: Engine, registry: Registry) -> RulesStore:
    registry.create_app("shop")
    registry.create_app("other")
    return RulesStore(engine)


@pytest.fixture
async def book(migrated_url: str) -> AsyncIterator[CachedRules]:
    book = CachedRules(make_engine(migrated_url), base=BASE, refresh_s=0.05)
    yield book
    await book.stop()


async def _until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


def test_rules_are_kept_as_they_were_given_and_as_they_are_meant(store: RulesStore) -> None:
    assert store.show("shop") is None
    set_ = store.set("shop", LONG, note="for spring")
    found = store.show("shop")
    assert found is not None
    assert (found.toml, found.version) == (LONG, set_.version)
    assert found.rules.click_window_ms == 30 * DAY_MS
    assert found.rules.version == set_.version
    assert set_.effective_at_ms - set_.activated_at_ms in range(
        EFFECTIVE_AFTER_S * 1000 - 1, EFFECTIVE_AFTER_S * 1000 + 1000
    )
    assert store.show("other") is None


def test_an_older_version_can_count_again(store: RulesStore) -> None:
    first = store.set("shop", SHORT)
    second = store.set("shop", LONG, note="try")
    assert store.set("shop", LONG, note="again is no change") == second
    third = store.activate("shop", first.version, note="back")
    history = store.history("shop")
    assert history == [first, second, third]
    assert [(one.seq, one.note) for one in history] == [(1, None), (2, "try"), (3, "back")]
    shown, older = store.show("shop"), store.show("shop", second.version)
    assert shown is not None
    assert shown.version == first.version
    assert older is not None
    assert older.rules.click_window_ms == 30 * DAY_MS


async def test_rules_can_be_known_without_counting(store: RulesStore, book: CachedRules) -> None:
    set_ = store.set("shop", LONG)
    made = store.as_set("shop", SHORT)
    kept = store.keep("shop", SHORT, made)
    assert (kept.rules, kept.toml) == (made, SHORT)
    assert store.keep("shop", SHORT, made) == kept
    assert [one.version for one in store.history("shop")] == [set_.version]

    await book.start()
    assert book.current("shop", at_ms=FAR_MS).version == set_.version
    known = book.version("shop", kept.version)
    assert known is not None
    assert known.click_window_ms == DAY_MS
    assert store.activate("shop", kept.version).seq == 2
    with pytest.raises(NotFoundError, match="no app nobody"):
        store.keep("nobody", SHORT, made)
    with pytest.raises(NotFoundError, match="no app nobody"):
        store.as_set("nobody", SHORT)


def test_what_is_not_there_is_said(store: RulesStore) -> None:
    version = store.set("other", SHORT).version
    for call in (
        lambda: store.set("gone", SHORT),
        lambda: store.show("gone"),
        lambda: store.history("gone"),
        lambda: store.activate("gone", version),
        lambda: store.activate("shop", version),
        lambda: store.show("shop", version),
    ):
        with pytest.raises(NotFoundError):
            call()
    assert store.history("shop") == []


def test_rules_with_problems_are_not_set(store: RulesStore) -> None:
    with pytest.raises(RulesError) as caught:
        store.set("shop", 'click_window = "90d"\nmodels = ["mine"]\n')
    assert len(caught.value.problems) == 3
    assert store.history("shop") == []


async def test_a_change_counts_from_its_moment_on_and_not_before(
    book: CachedRules, store: RulesStore
) -> None:
    await book.start()
    assert book.current("shop", at_ms=FAR_MS) is BASE
    first = await asyncio.to_thread(store.set, "shop", SHORT)
    await _until(lambda: book.version("shop", first.version))
    second = await asyncio.to_thread(store.set, "shop", LONG)
    await _until(lambda: book.version("shop", second.version))

    def window_ms(at_ms: int) -> int:
        return book.current("shop", at_ms=at_ms).click_window_ms

    assert window_ms(first.effective_at_ms - 1) == BASE.click_window_ms
    assert window_ms(first.effective_at_ms) == DAY_MS
    assert window_ms(second.effective_at_ms - 1) == DAY_MS
    assert window_ms(second.effective_at_ms) == window_ms(FAR_MS) == 30 * DAY_MS
    assert book.current("other", at_ms=FAR_MS) is BASE
    # Of the service, whatever the file's rules were made over.
    assert book.current("shop", at_ms=FAR_MS).session_gap_ms == 60_000


async def test_what_counts_is_looked_for_where_it_may_not_have_been_read(
    migrated_url: str, store: RulesStore
) -> None:
    book = CachedRules(make_engine(migrated_url), base=BASE, refresh_s=3600)
    await book.start()
    try:
        set_ = await asyncio.to_thread(store.set, "shop", SHORT)
        await book.up_to(set_.effective_at_ms - 5000)
        assert book.version("shop", set_.version) is None, "set since, and does not count yet"
        await book.up_to(set_.effective_at_ms)
        assert book.current("shop", at_ms=set_.effective_at_ms).version == set_.version
    finally:
        await book.stop()


async def test_looking_for_what_counts_goes_on_without_postgresql() -> None:
    book = CachedRules(make_engine("postgresql://u@127.0.0.1:1/d"), base=BASE)
    for _ in range(2):
        await book.up_to(FAR_MS)
        assert book.current("shop", at_ms=FAR_MS) is BASE


async def test_old_versions_are_known_those_of_others_are_not(
    book: CachedRules, store: RulesStore
) -> None:
    first = store.set("shop", SHORT)
    store.set("shop", LONG)
    await book.start()
    known = book.version("shop", first.version)
    assert known is not None
    assert (known.version, known.click_window_ms) == (first.version, DAY_MS)
    assert book.version("other", first.version) is None
    assert book.version("shop", "rules-0") is None
    assert book.version("shop", "default-1") is BASE


async def test_one_version_that_cannot_be_read_keeps_no_other_from_being_so(
    book: CachedRules, store: RulesStore, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    broken = store.set("shop", SHORT)
    fine = store.set("shop", LONG)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE rules SET content = '{\"depth\": []}' WHERE version = :version"),
            {"version": broken.version},
        )
    await book.start()
    assert broken.version in caplog.text
    assert book.version("shop", broken.version) is None
    assert book.current("shop", at_ms=broken.effective_at_ms).version != broken.version
    assert book.current("shop", at_ms=FAR_MS).version == fine.version


async def test_it_does_not_start_without_what_it_decides_by(
    caplog: pytest.LogCaptureFixture,
) -> None:
    book = CachedRules(make_engine("postgresql://u@127.0.0.1:1/d"), base=BASE)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(StorageUnavailableError, match=r"rules of apps cannot be read .*refused"),
    ):
        await book.start(timeout_s=1)
    assert len(caplog.records) == 1


def test_without_a_database_all_apps_have_the_same() -> None:
    book = DefaultRules(DEFAULT)
    assert book.current("any", at_ms=0) is DEFAULT
    assert book.version("any", "default-1+gap60+wait30") is DEFAULT
    assert book.version("any", "rules-1") is None


def test_marked_sources_are_blocked_besides_the_files_own_and_no_longer_when_unmarked(
    store: RulesStore, engine: Engine
) -> None:
    def blocked() -> tuple[str, ...]:
        found = store.show("shop")
        assert found is not None
        return found.rules.fraud.blocklists.sources

    assert store.block_marked_sources("shop") is None
    own = store.set("shop", '[fraud.blocklists]\nsources = ["a/own"]\n')
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO fraud_sources (app_id, source, since, reason, figures)"
                " VALUES ('shop', 'summer/flood', now(), 'flooding', '{}'),"
                " ('other', 'x/y', now(), 'flooding', '{}')"
            )
        )
    wanted = store.as_set("shop", store.show("shop").toml)  # type: ignore[union-attr] # just set
    marked = store.block_marked_sources("shop")
    assert marked is not None
    assert marked.version != own.version
    assert marked.version == wanted.version
    assert blocked() == ("a/own", "summer/flood")
    store.set("shop", SHORT)
    assert blocked() == ("summer/flood",)
    with engine.begin() as connection:
        connection.execute(text("UPDATE fraud_sources SET unmarked_at = now()"))
    store.block_marked_sources("shop")
    assert blocked() == ()


def test_marks_count_even_where_no_rules_were_set(store: RulesStore, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO fraud_sources (app_id, source, since, reason, figures)"
                " VALUES ('shop', 'summer/flood', now(), 'flooding', '{}')"
            )
        )
    store.block_marked_sources("shop")
    found = store.show("shop")
    assert found is not None
    assert found.rules.fraud.blocklists.sources == ("summer/flood",)
