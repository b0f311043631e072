"""An app's rules change under a running worker, and what was decided before keeps its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.agents.running import Log, Worker, click, envelope, now_ms
from trackstream.application import rules_of
from trackstream.core.records import Attribution, Touch
from trackstream.storage.database import make_engine
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.rules import RulesStore
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trackstream.settings import Settings

HOUR_MS = 3_600_000


@pytest.fixture
def store(database_url: str) -> Iterator[RulesStore]:
    migrate(database_url)
    engine = make_engine(database_url)
    Registry(engine, MasterKey(bytes(32))).create_app("demo")
    yield RulesStore(engine)
    engine.dispose()


@pytest.fixture
def running(
    make_settings: Callable[[], Settings], database_url: str, store: RulesStore, folder: Path
) -> Iterator[Worker]:
    worker = Worker(replace(make_settings(), postgres_url=database_url), folder)
    try:
        yield worker.start()
    finally:
        assert worker.stop() == 0


async def decided(log: Log, device: str, revision: int = 1) -> Attribution:
    return await log.until(
        lambda log: next(
            (
                one
                for one in log.of(Attribution)
                if device in one.subject and one.revision == revision
            ),
            None,
        )
    )


async def counts(at_ms: int) -> None:
    await asyncio.sleep(max(0, at_ms - now_ms()) / 1000 + 0.1)


async def test_rules_change_without_a_restart(running: Worker, store: RulesStore) -> None:
    async with Log(running.settings) as log:
        await log.touch(click("one", ago_ms=2 * HOUR_MS))
        await log.post(envelope("first", "install", click_id="one"))
        before = await decided(log, "first")
        assert (before.method, before.rules_version) == (
            "click_deterministic",
            rules_of(running.settings).version,
        )

        short = store.set("demo", 'click_window = "1h"\nmodels = ["last", "linear"]\n')
        await counts(short.effective_at_ms)
        await log.touch(click("two", ago_ms=2 * HOUR_MS))
        await log.post(envelope("second", "install", click_id="two"))
        after = await decided(log, "second")
        assert (after.method, after.rules_version) == ("organic", short.version)
        assert [one.verdict for one in after.candidates] == ["outside_window"]

        # What was decided before is decided again by its own rules: the late click still counts.
        newer = under("three", "device:first", ago_ms=HOUR_MS + 60_000)
        await log.touch(newer)
        again = await decided(log, "first", revision=2)
        assert again.touch is not None
        assert (again.touch.click_id, again.rules_version) == ("three", before.rules_version)
        assert {one.model for one in again.credits} > {"position", "time_decay"}


def under(name: str, *more: str, ago_ms: int) -> Touch:
    one = click(name, ago_ms=ago_ms)
    return msgspec.structs.replace(one, identifiers=[*one.identifiers, *more])
