"""Two workers share the partitions; which of them has what makes no difference."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.agents.running import Log, Worker, click, envelope
from tests.waiting import PATIENCE_S
from trackstream.core.records import Attribution, Event
from trackstream.storage.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackstream.settings import Settings

pytestmark = pytest.mark.xdist_group("two-workers")

_DEVICES = 24


async def test_two_workers_share_the_work_and_one_can_go(
    make_settings: Callable[[], Settings], folder: Path
) -> None:
    settings = replace(make_settings(), worker_session_timeout_s=60)  # nobody dies here
    await ensure_topics(settings)
    one, two = Worker(settings, folder / "1"), Worker(settings, folder / "2")
    try:
        one.launch()
        one.wait_ready()
        async with Log(settings) as log:
            # Posted all the while: whoever joins or goes, what arrives meanwhile is handled.
            enough = asyncio.Event()
            steady = asyncio.create_task(_post_steadily(log, enough))
            two.launch()
            await asyncio.to_thread(two.wait_ready)
            await _until_both_own(one, two)
            first = [f"a{i}" for i in range(_DEVICES)]
            await _install(log, first)
            for worker in (one, two):
                assert _clicks(worker, _DEVICES) == _DEVICES
            for worker in (one, two):
                assert _busy(worker)
                for name in first:
                    status, shown = worker.get(f"/tables/visitors/demo%7Cdevice:{name}")
                    assert (status, shown["key"]) == (200, f"demo|device:{name}")

            code = await asyncio.to_thread(one.stop)
            second = [f"b{i}" for i in range(_DEVICES)]
            await _install(log, second)

            assert code == 0, one.log()
            enough.set()
            posted = {f"{n}-install" for n in first + second} | set(await steady)
            await log.until(lambda log: {e.event_id for e in log.of(Event)} >= posted)
            assert {e.event_id for e in log.of(Event)} == posted
            assert _clicks(two, 2 * _DEVICES) == 2 * _DEVICES
            status, _ = two.get("/tables/visitors/demo%7Cdevice:a0")
            assert status == 200
    finally:
        one.stop()
        last = two.stop()
    assert last == 0


async def _post_steadily(log: Log, enough: asyncio.Event) -> list[str]:
    """Ten visits every 10 ms until it is enough; the ids of all their events."""
    visits: list[str] = []
    while not enough.is_set():
        names = [f"s{len(visits) + i}" for i in range(10)]
        await log.post(*(envelope(name, "page_view") for name in names))
        visits += [f"{name}-page_view" for name in names]
        await asyncio.sleep(0.01)
    return visits


async def _install(log: Log, names: list[str]) -> None:
    await log.touch(*(click(name, campaign_id="two") for name in names))
    await log.post(*(envelope(name, "install", click_id=name) for name in names))
    wanted = {f"demo|device:{name}" for name in names}
    # What is missing at the deadline, on a busy machine, is decided about anew when it comes.
    await log.until(
        lambda log: {a.subject for a in log.of(Attribution) if not a.unanswered} >= wanted
    )
    newest = {a.subject: a for a in log.of(Attribution)}
    assert {newest[subject].method for subject in wanted} == {"click_deterministic"}


async def _until_both_own(*workers: Worker) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        for worker in workers:
            assert worker.running, worker.log()
        if all('trackstream_partitions{topic="' in w.get("/metrics")[1] for w in workers) and all(
            w.get("/health/ready")[0] == 200 for w in workers
        ):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("one worker has no partitions")


def _busy(worker: Worker) -> bool:
    return 'trackstream_messages_in_total{agent="match"}' in worker.get("/metrics")[1]


def _clicks(worker: Worker, wanted: int) -> int:
    """The campaign's clicks, as soon as they are what is wanted and every worker was heard."""
    until = time.monotonic() + PATIENCE_S
    while True:
        _, shown = worker.get("/campaigns/two/live")
        clicks: int = shown["total"]["clicks"]
        if (clicks == wanted and not shown["silent"]) or time.monotonic() > until:
            return clicks
        time.sleep(0.05)
