from __future__ import annotations

import logging
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import redis

from tests.ports import free_port
from tests.waiting import PATIENCE_S
from trackstream.storage.cache import RedisTouchCache
from trackstream.storage.resting_redis import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trackstream.storage.together import Item


@asynccontextmanager
async def _cache(
    url: str | None, *, timeout_s: float = PATIENCE_S
) -> AsyncIterator[RedisTouchCache]:
    cache = RedisTouchCache(url, timeout_s=timeout_s)
    try:
        yield cache
    finally:
        await cache.close()


def _dead_url() -> str:
    return f"redis://127.0.0.1:{free_port()}"


@pytest.fixture(params=["redis", "memory", "dead"])
def any_url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "redis":
        url: str = request.getfixturevalue("redis_url")
        return url
    return None if request.param == "memory" else _dead_url()


async def test_a_nonce_is_first_used_once(any_url: str | None) -> None:
    nonce = uuid4().hex
    async with _cache(any_url) as cache:
        assert await cache.first_use(nonce, 60)
        assert not await cache.first_use(nonce, 60)
        assert await cache.first_use(nonce + "x", 60)


DAY_MS = 86_400_000


async def test_a_deep_link_is_found_by_click_or_without_one_by_fingerprint(
    any_url: str | None,
) -> None:
    async with _cache(any_url) as cache:
        await cache.remember_touch("app", "c1", "fp:1", "shop://one", guess_ms=DAY_MS)
        await cache.remember_touch("app", "c2", "fp:1", "shop://two", guess_ms=DAY_MS)
        assert await cache.deep_link("app", "c1", "fp:1") == "shop://one"
        assert await cache.deep_link("app", None, "fp:1") == "shop://two"
        assert await cache.deep_link("app", "unknown", "fp:1") is None
        assert await cache.deep_link("other", "c1", "fp:1") is None
        assert await cache.deep_link("app", None, None) is None


async def test_a_touch_without_a_deep_link_leaves_the_earlier_one(any_url: str | None) -> None:
    async with _cache(any_url) as cache:
        await cache.remember_touch("app", "c1", "fp:1", "shop://one", guess_ms=DAY_MS)
        await cache.remember_touch("app", "c1", "fp:1", None, guess_ms=DAY_MS)
        assert await cache.deep_link("app", "c1", None) == "shop://one"


async def test_processes_share_what_redis_keeps(redis_url: str) -> None:
    async with _cache(redis_url) as one, _cache(redis_url) as other:
        await one.remember_touch("app", "c1", "fp:1", "shop://one", guess_ms=DAY_MS)
        assert await other.deep_link("app", "c1", None) == "shop://one"
        assert await one.first_use("n", 60)
        assert not await other.first_use("n", 60)


async def test_keys_expire_by_themselves(redis_url: str) -> None:
    async with _cache(redis_url) as cache:
        await cache.remember_touch("app", "c1", "fp1", "shop://one", guess_ms=DAY_MS // 24)
        await cache.remember_touch("app", "c2", "fp2", "shop://one", guess_ms=0)
        await cache.first_use("n", 60)
    with redis.Redis.from_url(redis_url) as client:
        assert 6 * 86_400 < client.ttl("click:app:c1") <= 7 * 86_400
        assert 3_500 < client.ttl("fp:app:fp1") <= 3_600
        assert not client.exists("fp:app:fp2")
        assert 0 < client.ttl("nonce:n") <= 60


async def test_an_outage_is_logged_once_and_costs_no_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "trackstream.storage.cache"):
        async with _cache(_dead_url()) as cache:
            began = time.perf_counter()
            for number in range(200):
                assert await cache.first_use(str(number), 60)
            assert time.perf_counter() - began < 10
    assert len(caplog.records) == 1


async def test_a_late_answer_is_waited_for_where_memory_cannot_tell(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, redis_url: str
) -> None:
    monkeypatch.setattr("trackstream.storage.cache._LOCAL_NONCES", 2)
    monkeypatch.setattr("trackstream.storage.cache._PATIENCE_S", PATIENCE_S)
    async with _cache(redis_url) as cache, _cache(redis_url) as other:
        names = [uuid4().hex for _ in range(8)]
        assert [await cache.first_use(name, 60) for name in names[:4]] == [True] * 4
        assert [one.message for one in caplog.records if "more signed requests" in one.message]

        cache._redis._away_until = time.monotonic() + PATIENCE_S  # as after one late answer
        assert [await cache.first_use(name, 60) for name in names] == [False] * 4 + [True] * 4
        assert not await other.first_use(names[7], 60)


async def test_a_claim_that_was_made_twice_is_one(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _cache(redis_url) as cache, _cache(redis_url) as other:
        ask = cache._claims.ask

        async def twice(item: Item) -> object:
            await ask(item)  # and the answer is lost
            return await ask(item)

        monkeypatch.setattr(cache._claims, "ask", twice)
        nonce = uuid4().hex
        assert await cache.first_use(nonce, 60)
        assert not await other.first_use(nonce, 60)


async def test_a_use_that_memory_has_no_room_for_is_neither_first_nor_later(
    monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    monkeypatch.setattr("trackstream.storage.cache._LOCAL_NONCES", 2)
    async with _cache(_dead_url()) as cache:
        assert [await cache.first_use(str(n), 60) for n in range(3)] == [True, True, None]
        assert [await cache.first_use(str(n), 60) for n in range(3)] == [False, False, None]
    async with _cache(redis_url) as cache:
        assert [await cache.first_use(str(n), 60) for n in range(3)] == [True] * 3
        assert [await cache.first_use(str(n), 60) for n in range(3)] == [False] * 3


async def test_a_server_that_hangs_is_given_up_soon() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        async with _cache(url, timeout_s=TIMEOUT_S) as cache:
            began = time.perf_counter()
            assert await cache.first_use("n", 60)
            assert not await cache.first_use("n", 60)
            assert time.perf_counter() - began < 10
