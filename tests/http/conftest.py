from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http.served import registered_key
from tests.http.service import Service
from tests.ports import free_port
from trackstream.ports import Key
from trackstream.settings import Settings
from trackstream.storage.user_agents import UaParser


@pytest.fixture(scope="session")
def user_agents() -> UaParser:
    return UaParser()


@pytest.fixture
async def service(user_agents: UaParser) -> AsyncIterator[Service]:
    service = Service(user_agents)
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
def settings(
    kafka_url: str, database_url: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> Settings:
    return Settings(
        data_dir=tmp_path,
        kafka_url=kafka_url,
        postgres_url=database_url,
        redis_url=redis_url,
        topic_prefix=topic_prefix,
        topic_partitions=2,
        master_key="ab" * 32,
        collector_port=free_port(),
        produce_timeout_s=30,
    )


@pytest.fixture
def key(settings: Settings) -> Key:
    return registered_key(settings)
