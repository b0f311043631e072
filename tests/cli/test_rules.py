"""`trackstream rules`: from the check of a file to an app's history; and the page about rules."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner

from trackstream.cli import main
from trackstream.cli.rules_text import changes, toml_of, values_of
from trackstream.core.rules import DEFAULT, Rules
from trackstream.core.rules_file import rules_from, rules_of_text
from trackstream.storage.database import make_engine
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text("utf-8")
SHORT = 'click_window = "36h"\n'
LONG = '# generous\nclick_window = "30d"'


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "rules.toml"
        path.write_text(text, "utf-8")
        return str(path)

    return write


@pytest.fixture
def _database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(database_url)
    engine = make_engine(database_url)
    Registry(engine, MasterKey(bytes(32))).create_app("shop")
    engine.dispose()
    monkeypatch.setenv("TRACKSTREAM_POSTGRES_URL", database_url)
    monkeypatch.setenv("TRACKSTREAM_APP_ID", "shop")


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["rules", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_check_says_what_a_file_changes(file: Callable[[str], str]) -> None:
    code, out, err = run("check", file(SHORT + "[fraud.actions]\nbot = 'flag'"), "--json")
    assert code == 0
    assert json.loads(out) == [
        {"rule": "click_window", "value": '"36h"', "default": '"7d"'},
        {"rule": "fraud.actions.bot", "value": '"flag"', "default": '"reject"'},
    ]
    assert re.fullmatch(r"No problems. The version is rules-[0-9a-f]{12}.\n", err)


def test_check_says_every_problem_in_a_line_of_its_own(file: Callable[[str], str]) -> None:
    code, out, err = run("check", file('click_window = 7\ndepth = 9\nmodel = "guess"'))
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 3
    assert "Traceback" not in err


def test_check_refuses_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(b"\xff\xfe")
    code, _, err = run("check", str(path))
    assert code == 1
    assert "is not UTF-8" in err


@pytest.mark.usefixtures("_database")
def test_rules_are_set_shown_listed_and_activated_again(file: Callable[[str], str]) -> None:
    code, out, _ = run("show")
    assert (code, out) == (0, "# No rules were set for shop: the defaults count, see --full.\n")
    first = json.loads(run("set", file(SHORT), "--json")[1])[0]
    second = json.loads(run("set", file(LONG), "--note", "spring", "--json")[1])[0]
    assert run("show")[1] == LONG + "\n"
    assert run("show", "--version", first["version"])[1] == SHORT
    code, out, _ = run("activate", first["version"], "--note", "back")
    assert code == 0
    assert first["version"] in out
    rows = json.loads(run("history", "--json")[1])
    assert [row["version"] for row in rows] == [one["version"] for one in (first, second, first)]
    assert [row["note"] for row in rows] == [None, "spring", "back"]
    assert all(row["counts_from"] > row["set_at"] for row in rows)
    shown = {row["rule"]: row for row in json.loads(run("show", "--json")[1])}
    assert shown["click_window"]["value"] == '"36h"'
    assert set(shown) == set(values_of(DEFAULT))


@pytest.mark.usefixtures("_database")
def test_what_is_wrong_is_said_in_a_line(file: Callable[[str], str]) -> None:
    assert run("set", file("depth = 9"))[::2] == (
        1,
        "trackstream: depth takes a number from 0 to 4\n",
    )
    assert "there is no app gone" in run("set", file(SHORT), "--app", "gone")[2]
    assert "never had the rules rules-1" in run("activate", "rules-1")[2]
    assert "never had the rules rules-1" in run("show", "--version", "rules-1")[2]
    assert run("history")[0] == 0


CHANGED = Rules(
    click_window_ms=90_000,
    late_after_ms=1,
    waterfall=("click_deterministic",),
    probabilistic=False,
    min_confidence=0.25,
    conversion_events=('say "hi"', "ü\n\x7f"),
    channel_weights={"paid search": 2.0},
    model_parameters={"position": {"first": 0.1}, "priority": {"winner_takes_all": True}},
    fraud=msgspec.structs.replace(
        DEFAULT.fraud,
        actions={**DEFAULT.fraud.actions, "bot": "flag"},
        blocklists=msgspec.structs.replace(DEFAULT.fraud.blocklists, ips=("203.0.113.7",)),
    ),
)


@pytest.mark.parametrize("rules", [DEFAULT, CHANGED])
def test_rules_as_a_file_are_the_same_rules(rules: Rules) -> None:
    again = rules_of_text(toml_of(rules), base=DEFAULT)
    assert msgspec.structs.replace(again, version=rules.version) == rules


def test_changes_are_what_differs() -> None:
    assert changes(DEFAULT, DEFAULT) == []
    assert {key for key, _, _ in changes(CHANGED, DEFAULT)} == {
        "click_window",
        "late_after",
        "waterfall",
        "probabilistic",
        "min_confidence",
        "conversion_events",
        "channel_weights",
        "model_parameters",
        "fraud.actions.bot",
        "fraud.blocklists.ips",
    }


def test_the_page_tells_every_rule_with_its_default() -> None:
    told = dict(re.findall(r"^\| `([a-z._]+)` \| `(.*?)` \| .{10,} \|$", PAGE, re.MULTILINE))
    assert told == values_of(DEFAULT)


def test_the_file_on_the_page_has_no_problems() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert len(changes(rules_from(tomllib.loads(text), base=DEFAULT), DEFAULT)) == 6
