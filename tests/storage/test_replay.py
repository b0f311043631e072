"""Replaying what the warehouse has, on PostgreSQL: the same as in memory, and a page at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest
from sqlalchemy import text

from tests.core.matching.replaying import NOW_MS, RULES, journeys, published, replayed
from tests.core.matching.world import APP
from tests.storage.records import an_attribution
from tests.storage.warehoused import write
from trackstream.core.rules import Blocklists, FraudRules, Rules
from trackstream.storage import replay
from trackstream.storage.replay import Wanted
from trackstream.storage.replay_changes import Changes

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from trackstream.core.records import Attribution
    from trackstream.core.replay import Difference

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FRAUD = FraudRules(min_click_to_install_ms=0, blocklists=Blocklists(sources=("summer/p1",)))
OTHER = [
    Rules(version="short", click_window_ms=10, view_window_ms=5, fraud=RULES.fraud),
    Rules(version="views first", waterfall=("view_deterministic", "click_deterministic")),
    Rules(version="marked", click_window_ms=50, view_window_ms=20, fraud=FRAUD),
    Rules(version="anew", reattribution_after_ms=5, own_touch_events=("event",), fraud=FRAUD),
]


@pytest.fixture(scope="module")
def decisions() -> list[Attribution]:
    """Of some sixty people, newest revisions only."""
    random = Random(20)
    return [one for n in range(30) for one in published(journeys(random, f"j{n:02}"), n)]


def wanted(rules: Rules, begin_ms: int = 0, end_ms: int = 101) -> Wanted:
    begin, end = (EPOCH + timedelta(milliseconds=ms) for ms in (begin_ms, end_ms))
    return Wanted(app_id=APP, begin=begin, end=end, rules=rules, at_ms=NOW_MS)


def run(engine: Engine, asked: Wanted) -> tuple[Difference, list[Attribution]]:
    with Changes() as changes:
        return replay.run(engine, asked, changes), list(changes)


def test_under_the_same_rules_nothing_differs(
    engine: Engine, migrated_url: str, decisions: list[Attribution]
) -> None:
    write(migrated_url, *decisions)
    difference, changes = run(engine, wanted(RULES))
    assert (difference.replayed, difference.changed) == (len(decisions), 0)
    assert len(decisions) > 50
    assert changes == []
    assert difference.before == difference.after


@pytest.mark.parametrize("rows_at_once", [1, 7, 500])
def test_under_other_rules_it_is_what_the_core_says_in_order_of_time(
    engine: Engine,
    migrated_url: str,
    decisions: list[Attribution],
    rows_at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay, "_ROWS_AT_ONCE", rows_at_once)
    shuffled = list(decisions)
    Random(1).shuffle(shuffled)
    write(migrated_url, *shuffled)
    for rules in OTHER:
        expected = [one.revised for one in replayed(decisions, rules) if one.revised]
        difference, changes = run(engine, wanted(rules))
        assert changes == expected
        assert (difference.replayed, difference.changed) == (len(decisions), len(expected))
        assert difference.examples == [one.conversion_id for one in expected[:5]]
        assert len(expected) > 5


def test_what_was_written_is_the_next_thing_that_is_replayed(
    engine: Engine, migrated_url: str, decisions: list[Attribution]
) -> None:
    write(migrated_url, *decisions)
    _, changes = run(engine, wanted(OTHER[0]))
    write(migrated_url, *changes)
    assert run(engine, wanted(OTHER[0]))[0].changed == 0
    back, _ = run(engine, wanted(RULES))
    assert back.changed == len(changes)


def test_other_models_differ_in_credits_alone(
    engine: Engine, migrated_url: str, decisions: list[Attribution]
) -> None:
    write(migrated_url, *decisions)
    fewer = msgspec.structs.replace(RULES, models=("last", "linear"), version="fewer")
    difference, changes = run(engine, wanted(fewer))
    attributed = [one for one in decisions if one.touch]
    assert difference.changed == difference.only_credits == len(attributed) == len(changes)
    assert not difference.methods
    assert {credit.model for one in changes for credit in one.credits} == {"last", "linear"}


def test_conversions_before_the_days_are_taken_as_they_are(
    engine: Engine, migrated_url: str, decisions: list[Attribution]
) -> None:
    write(migrated_url, *decisions)
    inheriting = next(
        one
        for one in decisions
        if one.inherited_from and one.touch and one.inherited_at_ms not in {None, one.at_ms}
    )
    only = wanted(Rules(version="none", waterfall=()), inheriting.at_ms, inheriting.at_ms + 1)
    difference, changes = run(engine, only)
    assert difference.replayed < len(decisions)
    assert inheriting.conversion_id not in {one.conversion_id for one in changes}
    _, all_changes = run(engine, wanted(Rules(version="none", waterfall=())))
    changed = {one.conversion_id: one for one in all_changes}
    assert changed[inheriting.conversion_id].touch is None


def test_only_one_app_and_what_can_be_decided_again(
    engine: Engine, migrated_url: str, decisions: list[Attribution]
) -> None:
    elsewhere = [msgspec.structs.replace(one, app_id="other") for one in decisions]
    old = an_attribution("old", app_id=APP, at_ms=5)
    write(migrated_url, *decisions[:5], *elsewhere, old)
    difference, _ = run(engine, wanted(RULES))
    assert (difference.replayed, difference.untold) == (5, 1)


def test_nothing_is_written_and_progress_is_told(
    engine: Engine, migrated_url: str, decisions: list[Attribution]
) -> None:
    write(migrated_url, *decisions)
    told: list[tuple[int, int]] = []
    with engine.connect() as connection:
        before = connection.execute(text("SELECT count(*) FROM attribution_revisions")).scalar_one()
    with Changes() as changes:
        replay.run(engine, wanted(OTHER[0]), changes, on_progress=lambda *now: told.append(now))
    with engine.connect() as connection:
        after = connection.execute(text("SELECT count(*) FROM attribution_revisions")).scalar_one()
    assert before == after == len(decisions)
    assert (told[0], told[-1]) == ((0, before), (before, before))
