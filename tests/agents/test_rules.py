"""An app's rules change under a running worker, and what was decided before keeps its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.agents.running import Log, Worker, click, envelope, now_ms, settled
from trackstream.application import rules_of
from trackstream.core.records import Attribution, Touch
from trackstream.core.replay import again
from trackstream.storage.database import make_engine
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.rules import EFFECTIVE_AFTER_S, RulesStore
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


async def test_what_was_replayed_is_decided_again_by_the_worker_which_goes_on_from_there(
    running: Worker, store: RulesStore
) -> None:
    async with Log(running.settings) as log:
        await log.touch(click("one", campaign_id="replayed", ago_ms=2 * HOUR_MS))
        await log.post(envelope("first", "install", click_id="one"))
        before = await decided(log, "first")
        short = 'click_window = "1h"\n'
        kept = store.keep("demo", short, store.as_set("demo", short))
        await counts(kept.created_at_ms + EFFECTIVE_AFTER_S * 1000)

        made = again(before, {}, at_ms=now_ms(), rules=kept.rules)
        assert made is not None
        assert made.revised is not None
        await log.write("candidates", before.conversion_id, made.revised, made.revised)
        after = await decided(log, "first", revision=2)
        assert (after.method, after.rules_version) == ("organic", kept.version)
        assert after.previous_method == "click_deterministic"
        # Shown a moment after it is told.
        installs = settled(
            lambda: running.get("/campaigns/replayed/live")[1]["total"]["installs"],
            lambda count: count == 0,
        )
        assert installs == 0

        # What becomes known is decided by the rules that were asked for, under the next number.
        newer = under("two", "device:first", ago_ms=30 * 60_000)
        await log.touch(newer)
        last = await decided(log, "first", revision=3)
        assert last.touch is not None
        assert (last.touch.click_id, last.rules_version) == ("two", kept.version)
        # Others are decided by what counts.
        await log.touch(click("three", ago_ms=2 * HOUR_MS))
        await log.post(envelope("second", "install", click_id="three"))
        assert (await decided(log, "second")).method == "click_deterministic"
        assert {a.revision for a in log.of(Attribution) if "first" in a.subject} == {1, 2, 3}

        # What is published as it was replayed shows no more of addresses than the app does now.
        private = store.set("demo", 'ip_privacy = "dropped"\n')
        await counts(private.effective_at_ms)
        forgotten = msgspec.structs.replace(before, conversion_id="demo:forgotten", revision=5)
        await log.write("candidates", forgotten.conversion_id, forgotten)
        shown = await decided(log, "first", revision=5)
        assert shown.conversion is not None
        assert before.conversion is not None
        assert (before.conversion.ip, shown.conversion.ip) == ("81.2.69.142", None)


def under(name: str, *more: str, ago_ms: int) -> Touch:
    one = click(name, ago_ms=ago_ms)
    return msgspec.structs.replace(one, identifiers=[*one.identifiers, *more])
