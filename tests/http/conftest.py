from collections.abc import AsyncIterator

import pytest

from tests.http.service import Service
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
