"""Killed at any moment: nothing is lost, nothing counts twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.agents.running import Log, Worker, click, envelope, now_ms, settled
from trackstream.core.records import Attribution, Event, Session
from trackstream.storage.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackstream.settings import Settings

pytestmark = pytest.mark.xdist_group("killed")

_DEVICES = 60
_ROUNDS = 50
_PER_ENVELOPE = 4


async def test_kill_9_in_the_middle_loses_nothing_and_counts_nothing_twice(
    make_settings: Callable[[], Settings], folder: Path
) -> None:
    settings = replace(make_settings(), worker_session_timeout_s=10)
    await ensure_topics(settings)
    worker = Worker(settings, folder)
    at = now_ms()
    async with Log(settings) as log:
        await log.touch(*(click(f"d{i}", campaign_id="kill") for i in range(_DEVICES)))
        await log.post(*(envelope(f"d{i}", "install", click_id=f"d{i}") for i in range(_DEVICES)))
        names = ["install"]
        wanted = await _post_more(log, names, at_ms=at)
        try:
            worker.start()
            interrupted = 0
            while interrupted < 2:
                if _ids(log) >= wanted:  # killed too late the last time
                    wanted = await _post_more(log, names, at_ms=at)
                await log.until(_more_events_than(len(log.of(Event))))
                worker.kill()
                await log.all_so_far()
                interrupted += not _ids(log) >= wanted
                worker.launch()
            worker.wait_ready()
            await log.until(lambda log: _ids(log) >= wanted)
            await log.until(lambda log: len({a.subject for a in log.of(Attribution)}) == _DEVICES)
            counts = await log.until(_all_closed)
            clicks = _live(worker, "kill")
            windows = worker.get("/apps/demo/live?windows=288")[1]["windows"]
        finally:
            code = worker.stop()

    assert _ids(log) == wanted
    assert set(counts.values()) == {len(names)}
    assert {a.method for a in log.of(Attribution)} == {"click_deterministic"}
    assert len({a.conversion_id for a in log.of(Attribution)}) == _DEVICES
    assert (clicks["clicks"], clicks["installs"]) == (_DEVICES, _DEVICES)
    busiest = max(windows, key=lambda one: one["events"])
    assert (busiest["active_subjects"], busiest["events"]) == (_DEVICES, len(wanted))
    merged = {one.session_id for one in log.of(Session) if one.status == "merged"}
    sessions = {one.session_id for one in log.of(Session)} - merged
    assert busiest["sessions_started"] == len(sessions)
    assert code == 0


async def _post_more(log: Log, names: list[str], *, at_ms: int) -> set[str]:
    """Some thousand events, whose names are added; the ids of all that there are by now."""
    for _ in range(_ROUNDS):
        some = [f"e{len(names) + n}" for n in range(_PER_ENVELOPE)]
        await log.post(*(envelope(f"d{i}", *some, at_ms=at_ms) for i in range(_DEVICES)))
        names += some
    return {f"d{i}-{name}" for i in range(_DEVICES) for name in names}


def _ids(log: Log) -> set[str]:
    return {e.event_id for e in log.of(Event)}


def _more_events_than(count: int) -> Callable[[Log], bool]:
    return lambda log: len(log.of(Event)) > count


def _all_closed(log: Log) -> Counter[str]:
    """Events per subject by the newest revision of each of its sessions, once all are closed."""
    newest: dict[str, Session] = {}
    for one in log.of(Session):
        if one.session_id not in newest or one.revision >= newest[one.session_id].revision:
            newest[one.session_id] = one
    counts: Counter[str] = Counter()
    for one in newest.values():
        if one.status == "open":
            return Counter()
        if one.status == "closed":
            counts[one.subject] += one.event_count
    return counts if len(counts) == _DEVICES else Counter()


def _live(worker: Worker, campaign_id: str) -> dict[str, int]:
    total: dict[str, int] = settled(
        lambda: worker.get(f"/campaigns/{campaign_id}/live")[1]["total"],
        lambda total: total["clicks"] == total["installs"] == _DEVICES,
    )
    return total
