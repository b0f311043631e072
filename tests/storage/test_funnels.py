"""Funnels counted by PostgreSQL: the same as by the reference, on whatever has happened."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tests.core.funnelled import BEGIN_MS, END_MS, funnels, happened
from tests.storage.records import AT_MS, a_session, an_event
from tests.storage.warehoused import write
from trackstream.cli import main
from trackstream.core.funnels import Funnel, Step, advance, figures, furthest
from trackstream.core.funnels_file import FunnelsError
from trackstream.core.records import PersonLink
from trackstream.storage.errors import NotFoundError
from trackstream.storage.funnels import count, last, set_funnels

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

    from trackstream.core.funnels import Happened, Progress
    from trackstream.storage.registry import Registry

BEGIN, END = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (BEGIN_MS, END_MS))
TWO = Funnel(name="f", within_ms=60_000, steps=(Step(events=("a",)), Step(events=("b",))))
FILE = """
[two]
within = "1m"
steps = [{ event = "a" }, { event = "b", where = { n = { min = 2 } } }]
"""
LONG_FILE = FILE.replace("1m", "2m")


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    funnel=funnels,
    happening=st.lists(
        st.tuples(st.sampled_from("pq"), st.sampled_from("st"), happened), max_size=25
    ),
)
def test_the_figures_are_those_of_the_reference(
    engine: Engine, migrated_url: str, funnel: Funnel, happening: list[tuple[str, str, Happened]]
) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE fact_events, dim_users, consumer_offsets"))
    write(
        migrated_url,
        *(
            an_event(
                f"e{number}",
                person=person,
                session_id=session,
                event=one.event,
                timestamp_ms=one.at_ms,
                properties=json.dumps(one.properties),
            )
            for number, (person, session, one) in enumerate(happening)
        ),
    )
    progress: dict[str, Progress] = {}
    for person, session, one in sorted(happening, key=lambda what: what[2].at_ms):
        key = person if funnel.by == "person" else session
        progress[key] = advance(
            progress.get(key, ()), funnel, one, begin_ms=BEGIN_MS, end_ms=END_MS
        )
    wanted = figures(funnel, [furthest(one) for one in progress.values()])
    assert count(engine, "demo", funnel, begin=BEGIN, end=END) == wanted


def _counts(engine: Engine, funnel: Funnel) -> list[int]:
    begin, end = datetime(2025, 7, 10, tzinfo=UTC), datetime(2025, 7, 11, tzinfo=UTC)
    return [one.count for one in count(engine, "demo", funnel, begin=begin, end=end)]


def test_two_keys_of_a_person_are_one_and_bots_and_other_apps_do_not_count(
    engine: Engine, migrated_url: str
) -> None:
    late_ms = AT_MS + 1000
    write(
        migrated_url,
        an_event("1", event="a", person="device:d1"),
        an_event("2", event="b", person="user:u1", timestamp_ms=late_ms),
        an_event("3", event="a", person="robot", bot=True),
        an_event("4", event="a", person="else", app_id="other"),
        PersonLink(
            app_id="demo", kind="identified", identifier="device:d1", other="user:u1", at_ms=AT_MS
        ),
    )
    assert _counts(engine, TWO) == [1, 1]


def test_sessions_that_were_joined_are_one(engine: Engine, migrated_url: str) -> None:
    by_session = Funnel(name="f", by="session", within_ms=60_000, steps=TWO.steps)
    write(
        migrated_url,
        an_event("1", event="a", session_id="s1"),
        an_event("2", event="b", session_id="s2", timestamp_ms=AT_MS + 1000),
    )
    assert _counts(engine, by_session) == [1, 0]
    write(migrated_url, a_session("s2", status="merged", merged_into="s1"), first_offset=2)
    assert _counts(engine, by_session) == [1, 1]


def test_what_was_set_last_counts_and_again_is_no_change(
    engine: Engine, registry: Registry
) -> None:
    registry.create_app("shop")
    assert last(engine, "shop") is None
    first = set_funnels(engine, "shop", FILE, note="why")
    assert (first.seq, first.note) == (1, "why")
    assert set_funnels(engine, "shop", FILE + "# the same") == first
    second = set_funnels(engine, "shop", LONG_FILE)
    assert last(engine, "shop") == second
    assert (second.seq, second.parsed()["two"].within_ms) == (2, 120_000)
    with pytest.raises(FunnelsError):
        set_funnels(engine, "shop", "[two]")
    with pytest.raises(NotFoundError):
        set_funnels(engine, "nobody", FILE)
    assert last(engine, "shop") == second


def test_the_commands(
    registry: Registry, migrated_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    registry.create_app("demo")
    monkeypatch.setenv("TRACKSTREAM_POSTGRES_URL", migrated_url)
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path))
    file = tmp_path / "funnels.toml"

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["funnels", *arguments])
        assert (result.exit_code, "Traceback" in result.output) == (code, False), result.output
        return result.output

    def rows(*arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(run(*arguments, "--json"))
        return found

    file.write_text("[two]\n", "utf-8")
    assert "two.steps takes" in run("check", str(file), code=1)
    assert "no funnel" in run("list")
    file.write_text(FILE, "utf-8")
    assert "two" in run("check", str(file))
    assert "Counted live from" in run("set", str(file), "--note", "first")
    assert rows("list")[0]["steps"] == ["a", "b"]
    write(
        migrated_url,
        an_event("1", event="a"),
        an_event("2", event="b", timestamp_ms=AT_MS + 9000, properties='{"n": 2}'),
        an_event("3", event="a", person="user:u2"),
        an_event("4", event="b", person="user:u2", timestamp_ms=AT_MS + 1, properties='{"n": 1}'),
    )
    period = ("--from", "2025-07-10", "--to", "2025-07-10")
    assert rows("show", "two", *period) == [
        {"step": 1, "event": ["a"], "count": 2, "of_previous": None, "of_first": 1.0,
         "median_ms": None},
        {"step": 2, "event": ["b"], "count": 1, "of_previous": 0.5, "of_first": 0.5,
         "median_ms": 9000.0},
    ]  # fmt: skip
    assert "50.0%" in run("show", "two", *period)
    assert "may come further" in run("show", "two")
    assert "no funnel three" in run("show", "three", code=1)
