"""A decision waits for workers that are behind, and for no answer that will not come."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest
from aiokafka import TopicPartition as Place
from hypothesis import given
from hypothesis import strategies as st

from agents.progress import Rounds
from tests.agents.running import Log, Worker, click, envelope, until_all_own
from trackstream.core.records import Attribution
from trackstream.core.rules import DEEPEST
from trackstream.storage.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackstream.settings import Settings

pytestmark = pytest.mark.xdist_group("behind")

_DEVICES = 20
_STANDS_S = 4 * 1.0  # four times the deadline and the ticks of these settings
_AB = Place("identity", 0), Place("candidates", 0)


async def test_an_install_is_not_organic_because_a_worker_stands_still(
    make_settings: Callable[[], Settings], folder: Path
) -> None:
    settings = make_settings()
    await ensure_topics(settings)
    one, two = Worker(settings, folder / "1"), Worker(settings, folder / "2")
    try:
        one.start()
        await asyncio.to_thread(two.start)
        await until_all_own(one, two)
        async with Log(settings) as log:
            await log.touch(*(click(f"d{i}") for i in range(_DEVICES)))
            two.signal(signal.SIGSTOP)
            try:
                await log.post(
                    *(envelope(f"d{i}", "install", click_id=f"d{i}") for i in range(_DEVICES))
                )
                await asyncio.sleep(_STANDS_S)
                await log.all_so_far()
                some = len(log.of(Attribution))
            finally:
                two.signal(signal.SIGCONT)
            await log.until(lambda log: len(log.of(Attribution)) >= _DEVICES)
    finally:
        one.stop()
        two.stop()

    assert some < _DEVICES, "the other worker owned nothing that was asked for"
    assert [a for a in log.of(Attribution) if a.unanswered or a.method == "organic"] == []


def test_what_was_asked_is_answered_when_all_has_been_read_as_often_as_can_be_asked_on() -> None:
    rounds = Rounds()
    seen = [
        rounds.look({_AB[0]: n, _AB[1]: n}, {_AB[0]: n, _AB[1]: n}, at_ms=n)
        for n in range(DEEPEST + 4)
    ]

    assert seen == [*[None] * (DEEPEST + 1), 0, 1, 2]


def test_one_partition_that_stays_behind_holds_all_back() -> None:
    rounds = Rounds()
    for n in range(1, 20):
        assert rounds.look(dict.fromkeys(_AB, n), {_AB[0]: n, _AB[1]: 0}, at_ms=n) is None


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.data())
def test_nothing_counts_as_answered_before_it_was_read(
    lags: list[int], data: st.DataObject
) -> None:
    """Each moment one record comes to each partition; it is read some moments later."""
    rounds = Rounds()
    read = dict.fromkeys(_AB, 0)
    for now, lag in enumerate(lags, 1):
        read = {at: max(was, now - data.draw(st.integers(0, lag))) for at, was in read.items()}
        answered = rounds.look(dict.fromkeys(_AB, now), read, at_ms=now)
        assert answered is None or answered <= min(read.values()) - DEEPEST
