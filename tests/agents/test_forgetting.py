"""A worker deletes what nothing has changed for long, in its table and in the changelog."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from tables.state import today
from tests.agents.running import Log, Worker, envelope
from tests.waiting import PATIENCE_S
from trackstream.core.matching.owner import IdentifierState
from trackstream.core.records import Event
from trackstream.core.visits import VisitorState
from trackstream.storage.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackstream.settings import Settings

pytestmark = pytest.mark.xdist_group("forgetting")

_VERSIONS = {"visitors": 2, "touchpoints": 1}


async def test_states_that_nothing_changes_go(
    make_settings: Callable[[], Settings], folder: Path
) -> None:
    settings = make_settings()
    await ensure_topics(settings)
    first = Worker(settings, folder / "one").start()
    assert first.stop() == 0
    async with Log(settings) as log:
        for name, days in (("old", 401), ("young", 399)):
            seen = VisitorState(
                app_id="demo", subject=f"demo|device:{name}", applied=0, newest_ms=1
            )
            await _write(log, "visitors", f"demo|device:{name}", seen, days)
        for name, days in (("old", 32), ("young", 30)):
            await _write(log, "touchpoints", f"demo|click:{name}", IdentifierState(), days)
        await log.post(envelope("now", "page_view"))

        second = Worker(settings, folder / "two").start()
        try:
            await log.until(lambda log: log.of(Event))
            wanted = {
                "visitors/demo%7Cdevice:old": 404,
                "visitors/demo%7Cdevice:young": 200,
                "touchpoints/demo%7Cclick:old": 404,
                "touchpoints/demo%7Cclick:young": 200,
            }
            found = await asyncio.to_thread(_shown, second, wanted)
            assert found == wanted
            text = second.get("/metrics")[1]
            assert 'states_forgotten_total{agent="match",table="touchpoints"} 1' in text
        finally:
            assert second.stop() == 0

    third = Worker(settings, folder / "three").start()
    try:
        assert _shown(third, wanted) == wanted, "the changelog says so, too"
    finally:
        assert third.stop() == 0


async def _write(log: Log, table: str, key: str, state: msgspec.Struct, ago_days: int) -> None:
    day = today() - ago_days
    head = bytes((_VERSIONS[table], *day.to_bytes(2)))
    await log.write(f"worker-{table}-changelog", key, head + msgspec.msgpack.encode(state))


def _shown(worker: Worker, wanted: dict[str, int]) -> dict[str, int]:
    until = time.monotonic() + PATIENCE_S
    while True:
        found = {path: worker.get(f"/tables/{path}")[0] for path in wanted}
        if found == wanted or time.monotonic() > until:
            return found
        time.sleep(0.1)
