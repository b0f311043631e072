"""Two workers share the partitions; which of them has what makes no difference."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.agents.running import Log, Worker, click, envelope, settled, until_all_own, until_shown
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
    settings = make_settings()
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
            await until_all_own(one, two)
            first = [f"a{i}" for i in range(_DEVICES)]
            await _install(log, first)
            await asyncio.to_thread(_all_show, [one, two], first)

            code = await asyncio.to_thread(one.stop)
            second = [f"b{i}" for i in range(_DEVICES)]
            await _install(log, second)

            assert code == 0, one.log()
            enough.set()
            posted = {f"{n}-install" for n in first + second} | set(await steady)
            await log.until(lambda log: {e.event_id for e in log.of(Event)} >= posted)
            assert {e.event_id for e in log.of(Event)} == posted
            await asyncio.to_thread(_all_show, [two], first + second)
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
    await log.until(lambda log: {a.subject for a in log.of(Attribution)} >= wanted)
    methods = {a.method for a in log.of(Attribution) if a.subject in wanted}
    assert methods == {"click_deterministic"}


def _all_show(workers: list[Worker], names: list[str]) -> None:
    """Each has had work, and shows what all have counted and whom any of them has seen."""
    for worker in workers:
        live = settled(
            lambda worker=worker: worker.get("/campaigns/two/live")[1],  # type: ignore[misc]  # it cannot infer it
            lambda shown: shown["total"]["clicks"] == len(names) and not shown["silent"],
        )
        assert (live["total"]["clicks"], live["silent"]) == (len(names), [])
        assert 'trackstream_messages_in_total{agent="match"}' in worker.get("/metrics")[1]
        until_shown(worker, [f"demo|device:{name}" for name in names])
