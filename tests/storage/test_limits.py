from __future__ import annotations

import asyncio
import time

import pytest
import redis as redis_client

from tests.waiting import PATIENCE_S
from trackstream.storage.limits import Limits, Rate


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def taken(limits: Limits, rate: Rate, tries: int, name: str = "a") -> int:
    return sum([(await limits.take(name, rate)).allowed for _ in range(tries)])


async def test_several_processes_share_a_bucket_to_the_token(redis_url: str) -> None:
    rate = Rate(per_s=1, capacity=40)
    processes = [Limits(redis_url, timeout_s=PATIENCE_S) for _ in range(3)]
    try:
        began_s = time.monotonic()
        counts = await asyncio.gather(*(taken(one, rate, 40) for one in processes))
        passed_s = time.monotonic() - began_s
        assert 37 <= sum(counts) <= 41 + passed_s  # leases of 1, and a token a second
        while (refused := await processes[0].take("a", rate)).allowed:
            pass
        assert refused.remaining == 0
        assert 0 < refused.wait_s <= 1
        assert (await processes[0].take("b", rate)).allowed
    finally:
        for one in processes:
            await one.close()


async def test_redis_is_asked_for_many_tokens_at_once(redis_url: str) -> None:
    rate = Rate(per_s=5_000, capacity=10_000)
    limits = Limits(redis_url, timeout_s=PATIENCE_S)
    with redis_client.Redis.from_url(redis_url) as server:

        def asked() -> int:
            stats = server.info("commandstats")
            assert isinstance(stats, dict)
            return sum(
                stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval")
            )

        before = asked()
        try:
            began_s = time.monotonic()
            assert await taken(limits, rate, 2_000) == 2_000
            passed_s = time.monotonic() - began_s
            assert 15 <= asked() - before <= 60 * (1 + passed_s)
            before = asked()
            assert await taken(limits, rate, 40, "seldom") == 40
            assert asked() == before
        finally:
            await limits.close()


async def test_more_than_the_credit_is_paid_for(redis_url: str) -> None:
    rate = Rate(per_s=1_000, capacity=1_000)
    limits = Limits(redis_url, timeout_s=PATIENCE_S)
    try:
        began_s = time.monotonic()
        allowed = await taken(limits, rate, 3_000)
        passed_s = time.monotonic() - began_s
        assert 980 <= allowed <= 1_000 + passed_s * 1_000 + 10 * (1 + passed_s)
    finally:
        await limits.close()


@pytest.mark.parametrize("url", [None, "redis://127.0.0.1:1"])
async def test_without_redis_each_process_has_its_own_bucket(url: str | None) -> None:
    clock = Clock()
    limits = Limits(url, timeout_s=0.05, clock_s=clock)
    rate = Rate(per_s=10, capacity=20)
    try:
        assert await taken(limits, rate, 30) == 20
        refused = await limits.take("a", rate)
        assert refused.wait_s == pytest.approx(0.1)
        clock.now_s += refused.wait_s + 0.001
        assert await taken(limits, rate, 5) == 1
        clock.now_s += 60
        assert await taken(limits, rate, 30) == 20
    finally:
        await limits.close()


async def test_many_at_once_wait_for_one_answer() -> None:
    limits = Limits(None)
    rate = Rate(per_s=100, capacity=10)
    answers = await asyncio.gather(*(limits.take("a", rate) for _ in range(50)))
    assert sum(one.allowed for one in answers) in {10, 11}
