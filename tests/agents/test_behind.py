"""A decision waits for workers that are behind, and for no answer that will not come."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest
from aiokafka import TopicPartition as Place
from hypothesis import given, settings
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
    here = [dict.fromkeys(_AB, n) for n in range(2 * DEEPEST + 7)]
    seen = [rounds.look(one, one, at_ms=n) for n, one in enumerate(here)]

    assert seen == [*[None] * (2 * DEEPEST + 3), 0, 1, 2, 3]


def test_one_partition_that_stays_behind_holds_all_back_but_not_for_ever() -> None:
    rounds = Rounds()
    behind = {_AB[0]: 9, _AB[1]: 0}
    seen = [rounds.look(behind, dict.fromkeys(_AB, 9), at_ms=n) for n in range(100)]
    assert seen == [None] * 60 + [0] * 40
    assert rounds.look(dict.fromkeys(_AB, 9), dict.fromkeys(_AB, 9), at_ms=100) is None


def test_while_kafka_does_not_say_time_goes_on_in_the_end() -> None:
    rounds = Rounds()
    assert [rounds.miss(at_ms=n) for n in range(61)] == [None] * 59 + [0] * 2
    assert rounds.look({}, dict.fromkeys(_AB, 9), at_ms=61) is None


def test_a_topic_that_is_made_anew_is_looked_at_anew() -> None:
    rounds = Rounds()
    before, after = dict.fromkeys(_AB, 9), dict.fromkeys(_AB, 1)
    for n in range(20):
        rounds.look(before, before, at_ms=n)
    seen = [rounds.look(after, after, at_ms=n) for n in range(20, 40)]
    assert seen == [*[None] * (2 * DEEPEST + 3), *range(20, 40 - 2 * DEEPEST - 3)]


@settings(max_examples=100)
@given(
    depth=st.integers(0, DEEPEST + 1), lags=st.lists(st.integers(0, 4), min_size=40), data=st.data()
)
def test_nothing_counts_as_answered_that_can_still_be_asked_on(
    depth: int, lags: list[int], data: st.DataObject
) -> None:
    """A probe of each moment goes from link to link; each topic is read some moments late."""
    probes, answers = _AB
    log: dict[Place, list[tuple[int, int]]] = {probes: [], answers: []}
    read = dict.fromkeys(_AB, 0)
    open_: set[int] = set()
    rounds = Rounds()
    for now, lag in enumerate(lags):
        log[probes].append((now, 0))
        open_.add(now)
        for place in _AB:
            until = max(read[place], len(log[place]) - data.draw(st.integers(0, lag)))
            for asked, links in log[place][read[place] : until]:
                if place is probes:
                    log[answers].append((asked, links))
                elif links < depth:
                    log[probes].append((asked, links + 1))
                else:
                    open_.discard(asked)
            read[place] = until
        ends = {place: len(log[place]) for place in _AB}
        answered = rounds.look(dict(read), ends, at_ms=now)
        written = {asked for asked, links in log[answers] if links == depth}
        assert answered is None or all(one in written or one > answered for one in open_)
