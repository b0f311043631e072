"""`trackstream fraud` on a warehouse in which one source floods."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, insert

from tests.storage.records import DAY_MS, a_touch, an_attribution
from tests.storage.warehoused import write
from trackstream.cli import main
from trackstream.core.records import Candidate
from trackstream.storage.database import make_engine
from trackstream.storage.migrations import migrate
from trackstream.storage.schema import apps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from trackstream.core.records import Attribution

DAYS = ("--from", "2025-07-10", "--to", "2025-07-12")
FLOOD = "summer/flood"


def install(source: str, number: int, took_ms: int) -> Attribution:
    name = f"{source}-{number}"
    campaign_id, _, sub_publisher = source.partition("/")
    click = a_touch(name, campaign_id=campaign_id, sub_publisher=sub_publisher or None)
    odd = Candidate(
        touch=click,
        identifier="device:d1",
        match_type="click_deterministic",
        confidence=1.0,
        verdict="chosen" if number else "fraud:bot",
        flags=["geo_mismatch"] if number == 1 else [],
    )
    at_ms = click.at_ms + took_ms
    return an_attribution(name, event_id=name, touch=click, at_ms=at_ms, candidates=[odd])


@pytest.fixture
def stored(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Sixty installs each of a source that floods, two honest ones and one that loads slowly."""
    random = Random(4)
    hour_ms = DAY_MS // 24
    took: dict[str, Callable[[], int]] = {
        FLOOD: lambda: random.randint(20_000, 7 * DAY_MS),
        "summer/": lambda: 20_000 + int(random.expovariate(1) * hour_ms),
        "winter/p1": lambda: 20_000 + int(random.expovariate(1) * hour_ms),
        "winter/slow": lambda: DAY_MS + int(random.expovariate(1) * hour_ms),
    }
    migrate(database_url)
    write(
        database_url,
        *(install(source, n, of()) for source, of in took.items() for n in range(60)),
        install("winter/new", 0, hour_ms),
    )
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(
            insert(apps).values(app_id="demo", name="Demo", created_at=func.clock_timestamp())
        )
    engine.dispose()
    monkeypatch.setenv("TRACKSTREAM_POSTGRES_URL", database_url)
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path))
    return database_url


def fraud(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["fraud", *arguments])
    assert "Traceback" not in result.output
    return result


def rows(*arguments: str) -> list[dict[str, Any]]:
    result = fraud(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


@pytest.mark.usefixtures("stored")
def test_the_flooding_source_is_found_marked_listed_and_unmarked() -> None:
    found = {row["source"]: row for row in rows("sources", *DAYS)}
    assert {source: row["verdict"] for source, row in found.items()} == {
        FLOOD: "flooding",
        "summer/": "ordinary",
        "winter/p1": "ordinary",
        "winter/slow": "late",
        "winter/new": "few_installs",
    }
    assert (found[FLOOD]["installs"], found[FLOOD]["others"]) == (60, 181)
    assert not any(row["marked"] for row in found.values())
    assert rows("list") == []

    marking = fraud("sources", *DAYS, "--mark")
    assert marking.exit_code == 0
    assert marking.stderr == f"1 newly marked: {FLOOD}\n"
    [first, *_] = [line for line in marking.stdout.splitlines() if line.startswith("summer/flood")]
    assert first.split()[-2:] == ["flooding", "yes"]
    assert fraud("sources", *DAYS, "--mark").stderr == "0 newly marked\n"

    [listed] = rows("list")
    assert (listed["source"], listed["reason"], listed["unmarked_at"]) == (FLOOD, "flooding", None)
    assert listed["installs"] == 60
    assert FLOOD in fraud("list").stdout
    shown = CliRunner().invoke(main, ["rules", "show", "--full", "--json"])
    assert FLOOD in shown.stdout

    assert fraud("unmark", FLOOD).stdout == "1 unmarked.\n"
    again = fraud("unmark", FLOOD)
    assert (again.exit_code, again.stdout) == (1, "0 unmarked.\n")
    assert again.stderr == f"trackstream: {FLOOD} is not marked: `trackstream fraud list`\n"
    assert rows("list") == []
    assert rows("list", "--all")[0]["unmarked_at"] is not None
    assert fraud("sources", *DAYS, "--mark").stderr == "0 newly marked\n"


@pytest.mark.usefixtures("stored")
def test_who_is_judged_is_a_setting() -> None:
    assert {row["verdict"] for row in rows("sources", *DAYS, "--min-installs", "61")} == {
        "few_installs"
    }
    assert {row["verdict"] for row in rows("sources", *DAYS, "--false-share", "1e-30")} == {
        "ordinary",
        "few_installs",
    }
    assert rows("sources", *DAYS, "--app", "other") == []
    empty = fraud("sources", "--from", "2020-01-01", "--to", "2020-01-01")
    assert (empty.exit_code, empty.stdout) == (0, "")
    assert "window has passed" in empty.stderr


@pytest.mark.usefixtures("stored")
def test_the_report_counts_by_rule_and_campaign() -> None:
    days = ("--from", "2025-07-10", "--to", "2025-07-20")
    assert rows("report", *days) == [
        {"rule": rule, "campaign_id": campaign, **counts}
        for rule, campaign, counts in (
            ("bot", "winter", {"rejected": 3, "flagged": 0, "conversions": 3}),
            ("bot", "summer", {"rejected": 2, "flagged": 0, "conversions": 2}),
            ("geo_mismatch", "summer", {"rejected": 0, "flagged": 2, "conversions": 2}),
            ("geo_mismatch", "winter", {"rejected": 0, "flagged": 2, "conversions": 2}),
        )
    ]
    assert "No rule has noticed" in fraud("report", *days, "--app", "other").stderr


def test_days_that_end_before_they_begin_are_refused() -> None:
    result = fraud("report", "--from", "2025-07-10", "--to", "2025-07-09")
    assert result.exit_code == 2
    assert "--to is before --from" in result.stderr
