"""Servers for the integration tests, one of each per test process.

Each is our embedded one unless `TRACKSTREAM_TEST_KAFKA_URL`, `TRACKSTREAM_TEST_POSTGRES_URL` or
`TRACKSTREAM_TEST_REDIS_URL` names another (Apache Kafka, say): the tests are the same.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg2
import pytest
import redis
from hypothesis import HealthCheck, settings

from trackstream.embedded.kafka import EmbeddedKafka
from trackstream.embedded.postgres import EmbeddedPostgres
from trackstream.embedded.valkey import EmbeddedValkey

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long an example takes, or its making, says how busy the machine is. What is set elsewhere, as
# Hypothesis does by itself where it runs for a CI, stays.
settings.register_profile(
    "patient",
    settings(),
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
    print_blob=True,
)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def server_dir() -> Iterator[Path]:
    """The data directory of this process's servers; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="trackstream-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres_url(server_dir: Path) -> Iterator[str]:
    """A PostgreSQL server, where the role may create databases."""
    given = os.environ.get("TRACKSTREAM_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with EmbeddedPostgres(server_dir, options={"fsync": "off"}) as server:
        yield server.url


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """A fresh, empty database of its own for one test; dropped afterwards."""
    with fresh_database(postgres_url) as url:
        yield url


@contextmanager
def fresh_database(postgres_url: str) -> Iterator[str]:
    """A fresh, empty database on this server; dropped afterwards."""
    name = f"test_{uuid4().hex}"
    _administer(postgres_url, f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def redis_server_url(server_dir: Path) -> Iterator[str]:
    """A Redis-protocol server, with whatever earlier tests have left in it."""
    given = os.environ.get("TRACKSTREAM_TEST_REDIS_URL")
    if given:
        yield given
        return
    with EmbeddedValkey(server_dir) as server:
        yield server.url


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """An empty Redis-protocol server."""
    with redis.Redis.from_url(redis_server_url) as client:
        client.flushdb()
    return redis_server_url


@pytest.fixture(scope="session")
def kafka_url(server_dir: Path) -> Iterator[str]:
    """A Kafka-protocol broker as Faust names it, `kafka://host:port`.

    Tests share it: their topics and groups begin with `topic_prefix`.
    """
    given = os.environ.get("TRACKSTREAM_TEST_KAFKA_URL")
    if given:
        yield given
        return
    with EmbeddedKafka(server_dir, default_partitions=4) as server:
        yield server.url


@pytest.fixture
def kafka_bootstrap(kafka_url: str) -> str:
    """The same broker as Kafka's own clients name it, `host:port`."""
    return kafka_url.removeprefix("kafka://")


@pytest.fixture
def topic_prefix() -> str:
    """What one test's topics and consumer groups begin with."""
    return f"t{uuid4().hex[:12]}."


def _administer(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
