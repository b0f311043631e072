"""An app that is not started, with tables whose partitions are opened by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trackstream.application import Application, create_app
from trackstream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    settings = Settings(
        data_dir=tmp_path,
        kafka_url="kafka://127.0.0.1:1",
        postgres_url="postgresql://u:p@127.0.0.1:1/d",
        worker_port=0,
        rocksdb_block_cache_mib=1,
    )
    app = create_app(settings)
    app.conf.tabledir.mkdir(parents=True)
    for table in app.state_tables.by_name().values():
        for partition in (0, 1):
            table.store._db_for_partition(partition)
    yield app
    for table in app.state_tables.by_name().values():
        for partition in table.store.open_partitions():
            table.store._close(partition)
