from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import redis

from tests.ports import free_port
from tests.waiting import PATIENCE_S
from trackstream.storage.resting_redis import FAILED, RestingRedis
from trackstream.storage.together import CLAIM, PUT, Item, Together

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def resting(redis_url: str) -> AsyncIterator[RestingRedis]:
    resting = RestingRedis(redis_url, timeout_s=PATIENCE_S)
    yield resting
    await resting.close()


def _calls(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        counts = client.info("commandstats")
        return sum(int(counts.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("evalsha",))


async def test_each_is_answered_for_itself(resting: RestingRedis) -> None:
    claims = Together(resting, CLAIM)
    name = uuid4().hex
    items = [Item(f"{name}:{n % 300}", str(n), 60_000) for n in range(450)]
    found = await asyncio.gather(*map(claims.ask, items))
    assert found == [None] * 300 + [str(n) for n in range(150)]
    assert await claims.ask(items[0]) == "0"


async def test_those_that_come_together_are_asked_together(
    resting: RestingRedis, redis_url: str
) -> None:
    puts = Together(resting, PUT)
    name = uuid4().hex
    await puts.ask(Item(name, "0", 60_000))
    before = _calls(redis_url)
    await asyncio.gather(*(puts.ask(Item(f"{name}:{n}", "1", 60_000)) for n in range(100)))
    assert _calls(redis_url) - before < 10  # others may use the server meanwhile
    with redis.Redis.from_url(redis_url) as client:
        assert client.get(f"{name}:99") == b"1"
        assert 50_000 < client.pttl(f"{name}:99") <= 60_000


async def test_who_stops_waiting_does_not_stop_the_others(resting: RestingRedis) -> None:
    claims = Together(resting, CLAIM)
    name = uuid4().hex
    asked = [
        asyncio.create_task(claims.ask(Item(f"{name}:{n % 2}", str(n), 60_000))) for n in range(4)
    ]
    await asyncio.sleep(0)
    asked[0].cancel()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [None, "0", "1"]


async def test_a_value_is_forgotten_when_its_time_is_over(resting: RestingRedis) -> None:
    claims = Together(resting, CLAIM)
    name = uuid4().hex
    assert await claims.ask(Item(name, "first", 30)) is None
    await asyncio.sleep(0.06)
    assert await claims.ask(Item(name, "second", 30)) is None


async def test_a_server_that_is_away_answers_nobody() -> None:
    resting = RestingRedis(f"redis://127.0.0.1:{free_port()}")
    claims = Together(resting, CLAIM)
    found = await asyncio.gather(*(claims.ask(Item(str(n), "1", 1_000)) for n in range(300)))
    assert found == [FAILED] * 300
    assert await Together(RestingRedis(None), CLAIM).ask(Item("k", "1", 1_000)) is FAILED
    await claims.close()
    await resting.close()
