"""A worker that cannot go on says why and is gone, so that what supervises it starts it anew."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.agents.running import Log, Worker, envelope
from tests.waiting import PATIENCE_S
from trackstream.core.records import Event
from trackstream.storage.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackstream.settings import Settings

pytestmark = pytest.mark.xdist_group("crash")


async def test_a_worker_that_crashes_is_gone(
    make_settings: Callable[[], Settings], folder: Path
) -> None:
    settings = make_settings()
    await ensure_topics(settings)
    worker = Worker(settings, folder / "one").start()
    try:
        async with Log(settings) as log:
            # A state as a later version of the program would leave it: not to be read, nor lost.
            await log.write("worker-visitors-changelog", "demo|device:later", b"\xff\x00")
            await log.post(envelope("now", "page_view"))
            await log.until(lambda log: log.of(Event))
            assert worker.stop() == 0

            worker = Worker(settings, folder / "two")
            worker.launch()
            await log.post(envelope("later", "page_view"))
            assert worker.process is not None
            code = await asyncio.to_thread(worker.process.wait, PATIENCE_S)

        assert code == 1, worker.log()
        assert "cannot go on; nothing of its batch is acknowledged" in worker.log()
        assert "UnknownStateVersionError" in worker.log()
    finally:
        worker.stop()


async def test_every_table_has_its_partitions_at_the_first_start(
    make_settings: Callable[[], Settings], folder: Path
) -> None:
    settings = make_settings()
    worker = Worker(settings, folder).start()
    try:
        assert "Ignoring missing topic" not in worker.log()
        # The flag -D goes before the setting: else two workers would share their files.
        assert list((folder / "state").rglob("visitors-*.db"))
        assert not (settings.data_dir / "worker").exists()
    finally:
        assert worker.stop() == 0
