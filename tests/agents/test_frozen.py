"""A worker that stands still is taken for dead, and comes back to what others have done."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.agents.running import Log, Worker, envelope, settled, until_all_own
from trackstream.core.records import Session
from trackstream.storage.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackstream.settings import Settings

pytestmark = pytest.mark.xdist_group("frozen")

_DEVICES = 40


async def test_sessions_that_another_opened_meanwhile_are_closed(
    make_settings: Callable[[], Settings], folder: Path
) -> None:
    settings = replace(make_settings(), worker_session_timeout_s=6, session_gap_s=8)
    await ensure_topics(settings)
    one, two = Worker(settings, folder / "1"), Worker(settings, folder / "2")
    all_of_them = f'trackstream_partitions{{topic="{settings.topic_prefix}raw"}} 4'
    try:
        one.start()
        await asyncio.to_thread(two.start)
        await until_all_own(one, two)
        async with Log(settings) as log:
            # Both have looked through their partitions for what is to be closed, and are idle: a
            # worker that stands still for long in the middle of writing stops.
            await log.post(*(envelope(f"a{i}", "page_view") for i in range(_DEVICES)))
            await log.until(lambda log: len(_having(log, "closed")) == _DEVICES)
            for i in range(_DEVICES):
                path = f"/tables/visitors/demo%7Cdevice:a{i}"
                assert await asyncio.to_thread(settled, partial(_is_closed, two, path), bool)
            one.signal(signal.SIGSTOP)
            try:
                taken = await asyncio.to_thread(
                    settled, lambda: two.get("/metrics")[1], lambda text: all_of_them in text
                )
                assert all_of_them in taken
                await log.post(*(envelope(f"b{i}", "page_view") for i in range(_DEVICES)))
                await log.until(lambda log: len(_having(log, "open")) == 2 * _DEVICES)
            finally:
                one.signal(signal.SIGCONT)
            await log.until(lambda log: len(_having(log, "closed")) == 2 * _DEVICES)
    finally:
        codes = one.stop(), two.stop()
    # Where it had begun to handle what it read, it stops instead of writing that.
    assert codes[0] == 0 or "StoodStillError" in one.log(), one.log()
    assert codes[1] == 0, two.log()


def _is_closed(worker: Worker, path: str) -> bool:
    status, shown = worker.get(path)
    return status == 200 and bool(shown["value"]["sessions"][0]["closed"])


def _having(log: Log, status: str) -> set[str]:
    return {one.subject for one in log.of(Session) if one.status == status}
