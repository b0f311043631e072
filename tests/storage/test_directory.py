from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import text

from tests.waiting import PATIENCE_S
from trackstream.core.rules import DEFAULT
from trackstream.storage.database import make_engine
from trackstream.storage.directory import CachedDirectory
from trackstream.storage.registry import Registry
from trackstream.storage.rules import RulesStore
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy import Engine


@pytest.fixture
async def directory(engine: Engine, master_key: MasterKey) -> AsyncIterator[CachedDirectory]:
    directory = CachedDirectory(engine, master_key, refresh_s=0.05)
    yield directory
    await directory.stop()


async def _until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def test_it_knows_what_is_registered(directory: CachedDirectory, registry: Registry) -> None:
    app = registry.create_app("shop")
    key = registry.create_key("shop", "server")
    older = registry.create_link(
        app_id="shop", campaign_id="c", web_url="https://a.example/1", overridable=["channel"]
    )
    newer = registry.create_link(app_id="shop", campaign_id="c", web_url="https://a.example/2")
    assert not directory.ready
    await directory.start()
    assert directory.ready
    assert directory.app("shop") == app
    assert directory.key(key.key_id) == key
    assert directory.link_by_slug(older.slug) == older
    registry.create_app("other")
    others = registry.create_link(app_id="other", campaign_id="c", web_url="https://a.example/3")
    await directory.refresh()
    assert directory.links_by_campaign("c") == (others, newer, older)
    assert directory.app("x") is directory.key("x") is None
    assert directory.link_by_slug("x") is None
    assert directory.links_by_campaign("x") == ()


async def test_it_follows_changes_of_each_kind(
    directory: CachedDirectory, registry: Registry, engine: Engine
) -> None:
    await directory.start()
    registry.create_app("shop")
    await _until(lambda: directory.app("shop"))
    key = registry.create_key("shop", "write")
    await _until(lambda: directory.key(key.key_id))
    link = registry.create_link(app_id="shop", campaign_id="c", web_url="https://a.example/")
    await _until(lambda: directory.link_by_slug(link.slug))
    registry.revoke_key(key.key_id)
    await _until(lambda: directory.key(key.key_id) is None)
    # By hand, too: triggers count the change, not the program.
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM links"))
    await _until(lambda: directory.link_by_slug(link.slug) is None)


async def test_it_knows_the_rules_that_count_for_what_arrives_then(
    directory: CachedDirectory, registry: Registry, engine: Engine
) -> None:
    registry.create_app("shop")
    await directory.start()
    off = RulesStore(engine).set("shop", "probabilistic = false")
    await _until(lambda: not directory.rules("shop", at_ms=off.effective_at_ms).probabilistic)
    assert directory.rules("shop", at_ms=off.effective_at_ms - 1) == DEFAULT
    assert directory.rules("other", at_ms=off.effective_at_ms) == DEFAULT


async def test_it_follows_rotations(directory: CachedDirectory, registry: Registry) -> None:
    registry.create_app("shop")
    old = registry.create_key("shop", "server")
    await directory.start()
    new = registry.rotate_key(old.key_id)
    await _until(lambda: directory.key(old.key_id) == new)
    assert new.secrets_at(0) == (new.secret, old.secret)
    registry.retire_key(old.key_id)
    await _until(lambda: directory.key(old.key_id) == registry.get_key(old.key_id))
    found = directory.key(old.key_id)
    assert found is not None
    assert found.secrets_at(0) == (new.secret,)


async def test_a_key_of_another_master_key_is_left_out_and_told(
    directory: CachedDirectory,
    registry: Registry,
    engine: Engine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry.create_app("shop")
    ours = registry.create_key("shop", "server")
    theirs = Registry(engine, MasterKey(b"x" * 32)).create_key("shop", "server")
    await directory.start()
    assert directory.key(ours.key_id) == ours
    assert directory.key(theirs.key_id) is None
    assert theirs.key_id in caplog.text


async def test_while_postgresql_is_away_the_last_known_stays_and_it_is_told_once(
    migrated_url: str,
    postgres_url: str,
    registry: Registry,
    engine: Engine,
    directory: CachedDirectory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    name = urlsplit(migrated_url).path[1:]
    registry.create_app("shop")
    await directory.start()
    administration = make_engine(urlunsplit(urlsplit(postgres_url)))
    autocommit = administration.execution_options(isolation_level="AUTOCOMMIT")
    with caplog.at_level(logging.INFO, "trackstream.storage.directory"):
        with autocommit.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :n"),
                {"n": name},
            )
            await _until(lambda: caplog.records)
            await asyncio.sleep(0.3)
            assert len(caplog.records) == 1
            assert directory.app("shop") is not None
            assert directory.ready
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        registry.create_app("second")
        await _until(lambda: directory.app("second"))
    administration.dispose()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_it_starts_without_postgresql_and_is_ready_later(
    master_key: MasterKey, caplog: pytest.LogCaptureFixture
) -> None:
    directory = CachedDirectory(
        make_engine("postgresql://u@127.0.0.1:1/d"), master_key, refresh_s=0.01
    )
    await directory.start()
    await asyncio.sleep(0.1)
    await directory.stop()
    assert not directory.ready
    assert len(caplog.records) == 1
