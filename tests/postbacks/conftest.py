"""A migrated database with an app, and a receiver."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from tests.core.postbacks.samples import a_destination
from tests.postbacks.receiver import Receiver, receiving
from tests.waiting import PATIENCE_S
from trackstream.core.postbacks.outcomes import RetryPolicy
from trackstream.postbacks.client import Client
from trackstream.postbacks.destinations import Destinations, Listed
from trackstream.postbacks.outbox import queue
from trackstream.postbacks.sender import Sender, SenderTimes
from trackstream.storage.database import make_engine, transaction
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from sqlalchemy import Engine

    from trackstream.core.records import Attribution

MASTER_KEY = bytes(range(32))


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    migrate(database_url)
    engine = make_engine(database_url)
    Registry(engine, MasterKey(MASTER_KEY)).create_app("shop")
    yield engine
    engine.dispose()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as there:
        yield there


class Outbox:
    """The outbox and its destinations, as tests use them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.destinations = Destinations(engine, MasterKey(MASTER_KEY))

    def destination(self, *, signed: bool = False, **other: Any) -> Listed:
        return self.destinations.create(a_destination(**other), signed=signed)

    def queue(self, *attributions: Attribution) -> int:
        with transaction(self.engine) as connection:
            return queue(connection, attributions, now_ms=now_ms())

    def rows(self) -> list[Any]:
        with self.engine.connect() as connection:
            query = text("SELECT * FROM postbacks ORDER BY conversion_id, revision")
            return list(connection.execute(query))

    def states(self) -> list[str]:
        return [row.state for row in self.rows()]


@pytest.fixture
def outbox(engine: Engine) -> Outbox:
    return Outbox(engine)


class Running:
    """A sender at work."""

    def __init__(self, outbox: Outbox, client: Client, **options: Any) -> None:
        options = {
            "policy": RetryPolicy(base_ms=20, cap_ms=50, max_tries=4),
            "times": SenderTimes(poll_s=0.02, orphans_s=0.05, lease_s=2 * PATIENCE_S),
            **options,
        }
        self.outbox = outbox
        self.sender = Sender(outbox.engine, outbox.destinations, client, **options)
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self.sender.run(self.stop))

    async def until(self, reached: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
        """Wait for it; the sender must not have ended."""
        deadline_s = time.monotonic() + within_s
        while not await asyncio.to_thread(reached):
            assert not self.task.done(), self.task.exception()
            assert time.monotonic() < deadline_s, self.outbox.rows()
            await asyncio.sleep(0.02)

    async def end(self) -> None:
        self.stop.set()
        await self.task


@pytest.fixture
async def start(outbox: Outbox) -> AsyncIterator[Callable[..., Running]]:
    """Starts a sender that may reach loopback, with short times."""
    async with Client(allow_private=True, timeout_s=PATIENCE_S) as client:
        started: list[Running] = []

        def start_one(**options: Any) -> Running:
            started.append(Running(outbox, client, **options))
            return started[-1]

        yield start_one
        for one in started:
            await one.end()


def now_ms() -> int:
    return int(time.time() * 1000)


def future_ms() -> int:
    """When decisions are made that no destination is too young for."""
    return now_ms() + 60_000
