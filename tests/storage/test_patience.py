from __future__ import annotations

import asyncio

import pytest

from tests.waiting import PATIENCE_S
from trackstream.storage.patience import Patience


async def _sleeper(patience: Patience, seconds: float) -> str:
    try:
        with patience.limit():
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "late"
    return "done"


async def test_only_those_that_take_too_long_are_ended() -> None:
    patience = Patience(1.0)
    waits = [0.0, 0.01, PATIENCE_S, 0.02, PATIENCE_S, 0.0]
    found = await asyncio.gather(*(_sleeper(patience, seconds) for seconds in waits))
    assert found == ["done", "done", "late", "done", "late", "done"]


async def test_each_has_its_own_time() -> None:
    loop = asyncio.get_running_loop()
    patience = Patience(0.2)

    async def late() -> float:
        began_s = loop.time()
        assert await _sleeper(patience, PATIENCE_S) == "late"
        return loop.time() - began_s

    first = asyncio.create_task(late())
    await asyncio.sleep(0.1)
    second = asyncio.create_task(late())
    assert [0.19 < await one < PATIENCE_S / 2 for one in (first, second)] == [True, True]
    # the timer has ended with them, and another begins with the next
    assert 0.19 < await late() < PATIENCE_S / 2


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    task = asyncio.create_task(_sleeper(Patience(PATIENCE_S), PATIENCE_S))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_at_the_same_time_is_not_swallowed() -> None:
    patience = Patience(0.05)

    async def stubborn() -> None:
        with patience.limit():
            try:
                await asyncio.sleep(PATIENCE_S)
            except asyncio.CancelledError:
                task.cancel()
                raise

    task = asyncio.create_task(stubborn())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_a_block_raises_passes_even_if_it_was_late() -> None:
    async def failing() -> None:
        with Patience(0.02).limit():
            try:
                await asyncio.sleep(PATIENCE_S)
            except asyncio.CancelledError:
                raise ValueError("its own") from None

    with pytest.raises(ValueError, match="its own"):
        await failing()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_the_inner_of_two_ends_first() -> None:
    outer, inner = Patience(PATIENCE_S), Patience(0.02)
    with outer.limit():
        assert await _sleeper(inner, PATIENCE_S) == "late"
    outer, inner = Patience(0.02), Patience(PATIENCE_S)
    with pytest.raises(TimeoutError), outer.limit():
        await _sleeper(inner, PATIENCE_S)
