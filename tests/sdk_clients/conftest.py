from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.http.service import Service
from trackstream.storage.user_agents import UaParser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(scope="session")
def user_agents() -> UaParser:
    return UaParser()


@pytest.fixture
async def service(user_agents: UaParser) -> AsyncIterator[Service]:
    """A collector whose clock stands."""
    service = Service(user_agents)
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
async def live(service: Service) -> AsyncIterator[Service]:
    """The same with a clock that goes."""

    async def tick() -> None:
        while True:
            service.now_ms = time.time_ns() // 1_000_000
            await asyncio.sleep(0.01)

    service.now_ms = time.time_ns() // 1_000_000
    ticking = asyncio.create_task(tick())
    yield service
    ticking.cancel()
