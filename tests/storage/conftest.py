"""A migrated database, and what is registered in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trackstream.storage.database import make_engine
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@pytest.fixture
def migrated_url(database_url: str) -> str:
    migrate(database_url)
    return database_url


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    engine = make_engine(migrated_url)
    yield engine
    engine.dispose()


@pytest.fixture
def master_key() -> MasterKey:
    return MasterKey(bytes(range(32)))


@pytest.fixture
def registry(engine: Engine, master_key: MasterKey) -> Registry:
    return Registry(engine, master_key)
