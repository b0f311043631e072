"""A migrated database, and what is registered in it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg2
import pytest

from trackstream.storage.database import make_engine
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> Iterator[str]:
    """A migrated database to copy: ten times as fast as migrating another."""
    name = f"template_{uuid4().hex}"
    _administer(postgres_url, f"CREATE DATABASE {name}")
    migrate(_of(postgres_url, name))
    yield name
    _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def migrated_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """A fresh, migrated database of its own for one test; dropped afterwards."""
    name = f"test_{uuid4().hex}"
    _administer(postgres_url, f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    yield _of(postgres_url, name)
    _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


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


def _of(server_url: str, database: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


def _administer(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
