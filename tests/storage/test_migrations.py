from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Integer, MetaData, Table, text

from trackstream.storage.database import make_engine
from trackstream.storage.errors import InvalidValueError, StorageUnavailableError
from trackstream.storage.migrations import migrate
from trackstream.storage.migrations.compare import OPTIONS
from trackstream.storage.schema import metadata
from trackstream.storage.warehouse.periods import coarse

if TYPE_CHECKING:
    from sqlalchemy import Engine


def _differences(engine: Engine, wanted: MetaData) -> list[object]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=OPTIONS)
        found: list[object] = compare_metadata(context, wanted)
        return found


def test_the_steps_lead_from_nothing_to_the_schema(engine: Engine) -> None:
    assert _differences(engine, metadata) == []


def test_the_comparison_sees_a_difference(engine: Engine) -> None:
    other = MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.tables.values():
        table.to_metadata(other)
    Table("one_more", other, Column("id", Integer))
    assert len(_differences(engine, other)) == 1


def test_a_partition_is_no_difference(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE fact_events_20150517 PARTITION OF fact_events "
                "FOR VALUES FROM ('2015-05-17') TO ('2015-05-18')"
            )
        )
        for day in (-1, 16_000, 100_000):
            period = coarse(day)
            connection.execute(
                text(
                    f"CREATE TABLE {period.name} PARTITION OF fact_events "
                    f"FOR VALUES {period.bounds}"
                )
            )
    assert _differences(engine, metadata) == []


def test_several_starters_at_once_are_safe(database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(migrate, database_url) for _ in range(4)]:
            done.result()
    engine = make_engine(database_url)
    with engine.connect() as connection:
        versions = connection.execute(text("SELECT version_num FROM alembic_version")).all()
        assert len(versions) == 1
    engine.dispose()


def test_without_a_server_it_is_unavailable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"postgresql://u@127.0.0.1:{free.getsockname()[1]}/d"
    with pytest.raises(StorageUnavailableError, match="refused"):
        migrate(url)


def test_without_a_url_the_setting_is_named() -> None:
    with pytest.raises(InvalidValueError, match="TRACKSTREAM_POSTGRES_URL"):
        migrate(None)
