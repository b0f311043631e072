"""Funnels that are set under a running worker are counted live, through a kill -9 and changes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner

from tests.agents.running import Log, Worker, envelope, now_ms, settled, until_all_own
from trackstream.cli import main
from trackstream.core.records import Event
from trackstream.storage.database import make_engine
from trackstream.storage.funnels import set_funnels
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from trackstream.core.records import Envelope
    from trackstream.settings import Settings

FILE = """
[checkout]
within = "1h"
steps = [{ event = "view" }, { event = "cart" }, { event = "buy" }]
[visit]
by = "session"
within = "30m"
steps = [{ event = "view" }, { event = "buy" }]
"""
CHANGED = FILE.replace("1h", "2h")
DEVICES = 40
ROUNDS = 20


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    migrate(database_url)
    engine = make_engine(database_url)
    Registry(engine, MasterKey(bytes(32))).create_app("demo")
    yield engine
    engine.dispose()


@pytest.fixture
def worker(
    make_settings: Callable[[], Settings], database_url: str, engine: Engine, folder: Path
) -> Iterator[Worker]:
    settings = replace(
        make_settings(),
        postgres_url=database_url,
        session_gap_s=1800,
        worker_session_timeout_s=10,
    )
    worker = Worker(settings, folder)
    try:
        yield worker.start()
    finally:
        worker.stop()


def way(n: int, turn: int, at_ms: int) -> Envelope:
    """Everybody views, half put into the cart, a quarter buys; and that again and again."""
    names = ["view", *(["cart"] if n % 2 == 0 else []), *(["buy"] if n % 4 == 0 else [])]
    one = envelope(f"d{n}", *names, at_ms=at_ms + 10 * turn)
    events = [
        msgspec.structs.replace(event, event_id=f"{event.event_id}-{turn}") for event in one.events
    ]
    return msgspec.structs.replace(one, events=events)


def ids(log: Log) -> set[str]:
    return {one.event_id for one in log.of(Event)}


def more_events_than(count: int) -> Callable[[Log], bool]:
    return lambda log: len(log.of(Event)) > count


async def counts_from(at_ms: int) -> None:
    await asyncio.sleep(max(0, at_ms - now_ms()) / 1000 + 0.1)


def counts(worker: Worker, name: str, day: str) -> list[int]:
    status, shown = worker.get(f"/funnels/{name}/live?app_id=demo&day={day}")
    if status == 404:  # not heard of yet
        return []
    assert status == 200, shown
    assert shown["day"] == day
    return [] if shown["silent"] else [step["count"] for step in shown["steps"]]


async def until(worker: Worker, name: str, day: str, wanted: list[int]) -> None:
    """Rows are written with the outputs of their batch, so a moment after these are seen."""
    found = await asyncio.to_thread(
        settled, lambda: counts(worker, name, day), lambda found: found == wanted
    )
    assert found == wanted


def shown(worker: Worker, day: str, *, since_ms: list[int]) -> None:
    """The views, and what they refuse."""
    _, every = worker.get(f"/funnels/live?day={day}")
    assert every == {
        **worker.get(f"/funnels/live?app_id=demo&day={day}")[1],
        "now_ms": every["now_ms"],
    }
    assert [(one["app_id"], one["funnel"]) for one in every["funnels"]] == [
        ("demo", "checkout"),
        ("demo", "visit"),
    ]
    assert worker.get("/funnels/live?app_id=nobody")[1]["funnels"] == []
    assert "/funnels/live" in worker.get("/live")[1]
    checkout, visit = every["funnels"]
    assert [checkout["since_ms"], visit["since_ms"]] == since_ms
    assert [step["of_previous"] for step in checkout["steps"]] == [None, 1.0, 0.0]
    assert (visit["by"], visit["within_ms"]) == ("session", 30 * 60_000)
    for wrong in ("", "?app_id=demo&day=never", "?app_id=demo&day=2001-01-01"):
        assert worker.get(f"/funnels/checkout/live{wrong}")[0] == 422
    assert worker.get("/funnels/none/live?app_id=demo")[0] == 404
    assert worker.get("/funnels/partial?day=1")[0] == 403
    assert worker.get("/funnels/partial?day=x", **{"X-Trackstream-Routed": "1"})[0] == 403


async def shown_by_two(worker: Worker, other: Worker, day: str) -> None:
    """Each adds up what both have, and says so when the other is silent."""
    try:
        other.launch()
        await asyncio.to_thread(other.wait_ready)
        await until_all_own(worker, other)
        await until(worker, "visit", day, [DEVICES + 1, DEVICES // 4])
        await until(other, "visit", day, [DEVICES + 1, DEVICES // 4])
        other.kill()
        _, missing = worker.get(f"/funnels/visit/live?app_id=demo&day={day}")
        assert [one.rstrip("/") for one in missing["silent"]] == [other.url]
    finally:
        other.stop()


def printed(worker: Worker, day: str) -> None:
    """The command."""

    def live(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(
            main, ["funnels", "live", *arguments, "--app", "demo", "--worker-url", worker.url]
        )
        assert result.exit_code == code, result.output
        return result.output if code else result.stdout

    rows: list[dict[str, Any]] = json.loads(live("checkout", "--day", day, "--json"))
    assert [row["count"] for row in rows] == [1, 1, 0]
    assert rows[1] == {
        "step": 2, "event": ["cart"], "count": 1, "of_previous": 1.0, "of_first": 1.0,
    }  # fmt: skip
    assert "100.0%" in live("checkout", "--day", day)
    assert "no funnel none" in live("none", code=1)


async def test_steps_are_counted_live_and_once(
    worker: Worker, engine: Engine, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    at = now_ms() - 20 * 60_000
    day = datetime.fromtimestamp(at / 1000, UTC).date().isoformat()
    async with Log(worker.settings) as log:
        await log.post(envelope("early", "view", at_ms=at))
        await log.until(lambda log: log.of(Event))
        assert worker.get(f"/funnels/checkout/live?app_id=demo&day={day}")[0] == 404
        done = await asyncio.to_thread(set_funnels, engine, "demo", FILE)
        await counts_from(done.effective_at_ms)
        await until(worker, "checkout", day, [0, 0, 0])

        turns, wanted = 0, ids(log)
        while ids(log) >= wanted:  # until it is killed in the middle
            rounds = [
                way(n, turns + t, at) for t in reversed(range(ROUNDS)) for n in range(DEVICES)
            ]
            turns += ROUNDS
            wanted |= {one.event_id for posted in rounds for one in posted.events}
            before = len(log.of(Event))
            await log.post(*rounds)
            await log.until(more_events_than(before))
            worker.kill()
            await log.all_so_far()
            worker.start()
        await log.until(lambda log: ids(log) >= wanted)
        await until(worker, "checkout", day, [DEVICES, DEVICES // 2, DEVICES // 4])
        await until(worker, "visit", day, [DEVICES, DEVICES // 4])

        # Another definition counts anew; the other one goes on.
        changed = await asyncio.to_thread(set_funnels, engine, "demo", CHANGED)
        await counts_from(changed.effective_at_ms)
        await until(worker, "checkout", day, [0, 0, 0])
        await log.post(envelope("late", "view", "cart", at_ms=at))
        await until(worker, "checkout", day, [1, 1, 0])
        await until(worker, "visit", day, [DEVICES + 1, DEVICES // 4])

    shown(worker, day, since_ms=[changed.effective_at_ms, done.effective_at_ms])
    await shown_by_two(worker, Worker(worker.settings, folder / "other"), day)
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(folder))
    printed(worker, day)
