"""`trackstream replay` on stored decisions, and what it writes to the log when asked to."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer
from click.testing import CliRunner

from tests.core.matching.replaying import RULES, journeys, published, replayed
from tests.core.matching.world import APP
from tests.storage.warehoused import write
from tests.waiting import PATIENCE_S
from trackstream.cli import main
from trackstream.codec import decode
from trackstream.core.records import Attribution
from trackstream.core.rules import DEFAULT
from trackstream.core.rules_file import rules_of_text
from trackstream.settings import Settings
from trackstream.storage.database import make_engine
from trackstream.storage.migrations import migrate
from trackstream.storage.rules import RulesStore
from trackstream.storage.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

DAY = ("--from", "1970-01-01", "--to", "1970-01-01", "--app", APP)
SAME = '[fraud]\nmin_click_to_install = "0ms"\n'
SHORT = 'click_window = "10ms"\nview_window = "5ms"\n' + SAME


@pytest.fixture(scope="module")
def decisions() -> list[Attribution]:
    random = Random(23)
    return [one for n in range(10) for one in published(journeys(random, f"j{n}"), n)]


@pytest.fixture
def stored(
    decisions: list[Attribution],
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    migrate(database_url)
    write(database_url, *decisions)
    monkeypatch.setenv("TRACKSTREAM_POSTGRES_URL", database_url)
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path / "data"))
    made = CliRunner().invoke(main, ["apps", "create", APP])
    assert made.exit_code == 0, made.output
    return database_url


@pytest.fixture
def rules(tmp_path: Path) -> Callable[[str], str]:
    def kept(text: str) -> str:
        file = tmp_path / "rules.toml"
        file.write_text(text)
        return str(file)

    return kept


def replay(*arguments: str, says: str | None = None) -> Result:
    result = CliRunner().invoke(main, ["replay", *DAY, *arguments], input=says)
    assert "Traceback" not in result.output
    return result


def found(*arguments: str) -> dict[str, Any]:
    result = replay(*arguments, "--json")
    assert result.exit_code == 0, result.output
    [row] = json.loads(result.stdout)
    assert isinstance(row, dict)
    return row


@pytest.mark.usefixtures("stored")
def test_the_same_rules_change_nothing(
    decisions: list[Attribution], rules: Callable[[str], str]
) -> None:
    # The world's own windows are those of the file, in other words.
    text = 'click_window = "50ms"\nview_window = "20ms"\n' + SAME
    made = rules_of_text(text, base=DEFAULT)
    assert (made.click_window_ms, made.view_window_ms, made.fraud) == (
        RULES.click_window_ms,
        RULES.view_window_ms,
        RULES.fraud,
    )
    row = found("--rules", rules(text))
    assert (row["replayed"], row["changed"], row["examples"]) == (len(decisions), 0, [])
    result = replay("--rules", rules(text))
    assert result.stdout == f"0 of {len(decisions)} decisions differ under {made.version}.\n"


@pytest.mark.usefixtures("stored")
def test_what_differs_is_told_by_campaign_and_method(
    decisions: list[Attribution], rules: Callable[[str], str]
) -> None:
    made = rules_of_text(SHORT, base=DEFAULT)
    expected = [one for one in replayed(decisions, made) if one.revised]
    row = found("--rules", rules(SHORT))
    assert row["rules_version"] == made.version
    assert row["changed"] == len(expected) > 3
    assert row["examples"] == [one.stored.conversion_id for one in expected[:5]]
    assert row["only_credits"] == sum(one.only_credits for one in expected) == 1
    assert sum(one["conversions"] for one in row["methods"]) == len(expected) - 1
    assert sum(one["before"] for one in row["campaigns"]) == len(decisions)
    assert sum(one["after"] for one in row["campaigns"]) == len(decisions)
    nobody = next(one for one in row["campaigns"] if one["campaign_id"] is None)
    assert nobody["after"] > nobody["before"]

    told = replay("--rules", rules(SHORT)).stdout
    assert f"{len(expected)} of {len(decisions)} decisions differ" in told
    assert "1 of these in multi-touch credits alone." in told
    more = nobody["after"] - nobody["before"]
    line = next(line for line in told.splitlines() if line.startswith("(none)"))
    assert line.split() == ["(none)", str(nobody["before"]), str(nobody["after"]), f"+{more}"]
    assert f"trackstream explain {expected[0].stored.conversion_id}" in told


@pytest.mark.usefixtures("stored")
def test_rules_that_come_too_late_are_named(rules: Callable[[str], str]) -> None:
    result = replay("--rules", rules(f'depth = 0\nconversion_events = ["purchase"]\n{SHORT}'))
    assert result.exit_code == 0
    assert result.stderr == "without effect on what was gathered: conversion_events, depth\n"
    assert replay("--rules", rules(SHORT)).stderr == ""


@pytest.mark.usefixtures("stored")
def test_what_cannot_be_used_is_refused(tmp_path: Path, rules: Callable[[str], str]) -> None:
    bad = replay("--rules", rules('click_window = "40d"\nnonsense = 1\n'))
    assert bad.exit_code == 1
    assert "click_window takes at most 30d" in bad.stderr
    assert "nonsense is not a rule" in bad.stderr
    assert replay("--rules", str(tmp_path / "missing.toml")).exit_code == 2
    for file in ((), ("--rules", rules(SHORT))):
        unknown = replay("--app", "nobody", *file)
        assert (unknown.exit_code, unknown.stdout) == (1, "")
        assert "there is no app nobody" in unknown.stderr
    unset = replay("--rules", rules(SHORT), "--write", "--yes")
    assert unset.exit_code == 1
    assert "TRACKSTREAM_KAFKA_URL" in unset.stderr


def test_without_a_file_the_rules_are_the_apps(stored: str) -> None:
    assert found()["rules_version"] == DEFAULT.version
    engine = make_engine(stored)
    version = RulesStore(engine).set(APP, SHORT).version
    engine.dispose()
    assert found()["rules_version"] == version == rules_of_text(SHORT, base=DEFAULT).version


async def _read(settings: Settings, count: int) -> list[tuple[bytes, Attribution]]:
    consumer = AIOKafkaConsumer(
        f"{settings.topic_prefix}candidates",
        bootstrap_servers=(settings.kafka_url or "").removeprefix("kafka://"),
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        read = [await asyncio.wait_for(consumer.getone(), PATIENCE_S) for _ in range(count)]
    finally:
        await consumer.stop()
    values = [(one.key, decode(one.value)) for one in read]
    return [(key, value) for key, value in values if isinstance(value, Attribution)]


def test_workers_are_asked_to_decide_what_differs_only_when_that_is_confirmed(
    stored: str,
    decisions: list[Attribution],
    rules: Callable[[str], str],
    kafka_url: str,
    topic_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRACKSTREAM_KAFKA_URL", kafka_url)
    monkeypatch.setenv("TRACKSTREAM_TOPIC_PREFIX", topic_prefix)
    settings = Settings.load()
    asyncio.run(ensure_topics(settings))
    file = rules(SHORT)

    refused = replay("--rules", file, "--write", says="n\n")
    assert (refused.exit_code, "nothing was written" in refused.stderr) == (1, True)

    written = replay("--rules", file, "--write", says="y\n")
    assert written.exit_code == 0, written.output
    made = rules_of_text(SHORT, base=DEFAULT)
    expected = {
        one.stored.conversion_id: one.revised for one in replayed(decisions, made) if one.revised
    }
    assert written.stderr.endswith(f"{len(expected)} written: workers decide them anew.\n")
    read = asyncio.run(_read(settings, len(expected)))
    assert [key for key, one in read] == [one.conversion_id.encode() for _, one in read]
    for _, one in read:
        revised = expected[one.conversion_id]
        assert one.revision == revised.revision
        assert one.rules_version == made.version
        assert (one.method, one.touch, one.previous_method) == (
            revised.method,
            revised.touch,
            revised.previous_method,
        )
    assert {one.conversion_id for _, one in read} == set(expected)

    write(stored, *(one for _, one in read))
    again = found("--rules", file, "--write", "--yes")
    assert again["changed"] == 0
