from __future__ import annotations

import csv
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.storage.records import AT_MS, a_touch, an_attribution, an_event
from tests.storage.warehoused import write
from trackstream.cli import main
from trackstream.core.records import Campaign, Candidate
from trackstream.storage.migrations import migrate

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from trackstream.core.records import Attribution

HEADER = "path,total_conversions,total_conversion_value,total_null\n"
JOURNEYS = HEADER + "C1 > C2 > C3,1,10,0\nC1,0,0,1\nC2 > C3,0,0,1\n"
JULY = ("--from", "2025-07-10", "--to", "2025-07-10")


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path))


@pytest.fixture
def journeys(tmp_path: Path) -> str:
    file = tmp_path / "paths.csv"
    file.write_text(JOURNEYS)
    return str(file)


def fit(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["models", "fit", *arguments], input=text)


def fitted(*arguments: str, text: str | None = None) -> dict[str, dict[str, Any]]:
    result = fit(*arguments, "--json", text=text)
    assert result.exit_code == 0, result.output
    return {row["channel"]: row for row in json.loads(result.stdout)}


def refused(*arguments: str, code: int = 1) -> str:
    result = fit(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("model", "shares"),
    [
        ("markov", [0.2, 0.4, 0.4]),
        ("shapley", [1 / 3, 1 / 3, 1 / 3]),
        ("first", [1, 0, 0]),
        ("last", [0, 0, 1]),
        ("linear", [1 / 3, 1 / 3, 1 / 3]),
        ("position", [0.4, 0.2, 0.4]),
        ("time_decay", [0.3009, 0.3322, 0.3669]),
    ],
)
def test_every_model_over_a_path_file(model: str, shares: list[float], journeys: str) -> None:
    rows = fitted("--paths", journeys, "--model", model)
    found = [rows[channel]["share"] for channel in ("C1", "C2", "C3")]
    assert found == pytest.approx(shares, abs=1e-4)
    assert sum(row["conversions"] for row in rows.values()) == pytest.approx(1, abs=1e-9)
    assert sum(row["value"] for row in rows.values()) == pytest.approx(10, abs=1e-9)


def test_what_was_measured_is_told(journeys: str) -> None:
    assert fitted("--paths", journeys, "--model", "markov")["C1"] == {
        "channel": "C1",
        "share": pytest.approx(0.2),
        "conversions": 0.2,
        "value": 2.0,
        "removal_effect": pytest.approx(0.5),
    }
    assert fitted("--paths", journeys, "--model", "shapley")["C1"]["standard_error"] is None


def test_order_half_life_and_parameters_are_handed_on(journeys: str) -> None:
    order = fitted("--paths", journeys, "--model", "markov", "--order", "3")
    assert order["C1"]["share"] == pytest.approx(1 / 3)
    decay = fitted("--paths", journeys, "--model", "time_decay", "--half-life", "1")
    assert decay["C3"]["share"] == pytest.approx(4 / 7)
    priority = fitted(
        "--paths",
        journeys,
        "--model",
        "priority",
        "--parameters",
        '{"weights": {"C1": 9}, "winner_takes_all": true}',
    )
    assert priority["C1"]["share"] == 1


def test_a_table_with_bars_for_people(journeys: str) -> None:
    result = fit("--paths", journeys, "--model", "markov")
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert lines["C2"].count("█") == 2 * lines["C1"].count("█") == 40
    assert lines["C1"].split() == ["C1", "20.0%", "█" * 20, "0.20", "2.00", "0.5000"]
    assert lines["markov,"] == (
        "markov, order 1: 1 converted and 2 unconverted journeys, 3 different paths"
    )


def test_the_file_may_come_from_a_pipe(journeys: str) -> None:
    piped = fitted("--paths", "-", "--model", "last", text=JOURNEYS)
    assert piped == fitted("--paths", journeys, "--model", "last")


def test_the_result_is_written_too(journeys: str, tmp_path: Path) -> None:
    table, document = tmp_path / "out.csv", tmp_path / "out.json"
    rows = fitted("--paths", journeys, "--model", "last", "--output", str(document))
    assert json.loads(document.read_text()) == list(rows.values())
    fit("--paths", journeys, "--model", "last", "--output", str(table))
    with table.open(newline="") as file:
        assert [row["channel"] for row in csv.DictReader(file)] == list(rows)
    said = refused("--paths", journeys, "--model", "last", "--output", str(tmp_path / "no" / "f"))
    assert said.startswith("trackstream: cannot write")


def test_all_problems_of_a_file_are_said_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(HEADER + "a,x,0,0\nb,1,0,0\n > a,1,-2,0\n")
    says = [
        "line 2: total_conversions is 'x': it has to be a whole number, 0 or more",
        "line 4: the path has an empty channel",
        "line 4: total_conversion_value is '-2': it has to be a number, 0 or more",
    ]
    told = refused("--paths", str(file), "--model", "last").splitlines()
    assert told == [f"trackstream: {file}: {one}" for one in says]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in refused("--paths", str(tmp_path / "none"), "--model", "last")
    assert "Is a directory" in refused("--paths", str(tmp_path), "--model", "last")
    other = tmp_path / "latin.csv"
    other.write_bytes(HEADER.encode() + b"k\xf6ln,1,0,0\n")
    assert "it is not UTF-8" in refused("--paths", str(other), "--model", "last")
    empty = tmp_path / "empty.csv"
    empty.write_text(HEADER)
    for model in ("last", "markov", "shapley"):
        assert "no conversion" in refused("--paths", str(empty), "--model", model)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "last"], "give either --paths, or --from and --to"),
        (["--model", "last", "--from", "2025-07-10"], "give either"),
        (["--model", "last", "--paths", "x", *JULY], "give either"),
        (["--model", "last", "--from", "2025-07-10", "--to", "2025-07-09"], "--to is before"),
        (["--model", "last", "--from", "today", "--to", "2025-07-09"], "'today' does not match"),
        (["--model", "last", "--order", "2", *JULY], "--order is for --model markov"),
        (["--model", "last", "--samples", "9", *JULY], "--samples is for --model shapley"),
        (["--model", "last", "--half-life", "9", *JULY], "--half-life is for"),
        (["--model", "markov", "--order", "4", *JULY], "4 is not in the range"),
        (["--model", "last", "--parameters", "{", *JULY], "--parameters is not JSON"),
        (["--model", "last", "--parameters", "[]", *JULY], "not a JSON object"),
        (["--model", "last", "--paths", "x", "--event", "y"], "--event and --currency are for"),
    ],
)
def test_wrong_usage(arguments: list[str], says: str) -> None:
    assert says in refused(*arguments, code=2)


def test_models_that_are_not_there_or_refuse(journeys: str) -> None:
    said = refused("--paths", journeys, "--model", "best")
    assert said.startswith("trackstream: best: there is no model best; there are first, last")
    said = refused("--paths", journeys, "--model", "linear", "--parameters", '{"a": 1}')
    assert said == "trackstream: linear: no such parameter: a; it has none\n"


def test_without_the_extra_rules_work_and_the_others_say_what_to_install(journeys: str) -> None:
    code = (
        "import sys\n"
        "sys.modules['numpy'] = sys.modules['scipy'] = None\n"
        "from trackstream.cli import main\n"
        "main()\n"
    )

    def run(model: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, "models", "fit", "--paths", journeys, "--model", model],
            capture_output=True,
            text=True,
            check=False,
        )

    for model in ("markov", "shapley"):
        done = run(model)
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"trackstream: {model} needs numpy and scipy, which are not installed",
            "trackstream: install the extra: pip install 'trackstream[models]'",
        ]
    assert run("linear").returncode == 0


def test_own_models_are_listed_and_used_and_bad_ones_said(
    journeys: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_models_of_the_cli.py").write_text(
        "def middle(path, *, at_ms, parameters):\n"
        "    return [one.channel == 'C2' for one in path]\n"
        "def fails(path, *, at_ms, parameters):\n"
        "    raise ValueError('no weights today')\n"
    )
    info = tmp_path / "own_models_of_the_cli-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[trackstream.models]\n"
        "middle = own_models_of_the_cli:middle\n"
        "fails = own_models_of_the_cli:fails\n"
        "gone = own_models_of_the_cli:gone\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    listed = CliRunner().invoke(main, ["models", "list", "--json"])
    assert listed.exit_code == 0
    rows = {row["model"]: row for row in json.loads(listed.stdout)}
    assert rows["middle"]["what"] == "own_models_of_the_cli:middle"
    assert {"first", "last", "linear", "position", "time_decay", "priority"} < set(rows)
    assert {"markov", "shapley", "fails"} < set(rows)
    assert "gone" not in rows
    assert "own model gone (own_models_of_the_cli:gone) cannot be imported" in listed.stderr

    assert fitted("--paths", journeys, "--model", "middle")["C2"]["share"] == 1
    said = refused("--paths", journeys, "--model", "fails")
    assert said == "trackstream: fails: it raised ValueError: no weights today\n"
    assert "own model gone" in refused("--paths", journeys, "--model", "gone")


def _converted(conversion_id: str, *channels: str, **other: Any) -> Attribution:
    touches = [
        a_touch(f"{conversion_id}-{i}", channel=channel, at_ms=AT_MS - 60_000 * (9 - i))
        for i, channel in enumerate(channels)
    ]
    candidates = [
        Candidate(
            touch=one,
            identifier="device:d1",
            match_type="click_deterministic",
            confidence=1.0,
            verdict="chosen" if one is touches[-1] else "older",
        )
        for one in touches
    ]
    return an_attribution(
        conversion_id,
        event_id=conversion_id,
        person=f"user:{conversion_id}",
        touch=touches[-1] if touches else None,
        method="click_deterministic" if touches else "organic",
        candidates=candidates,
        **other,
    )


@pytest.fixture
def stored(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The journeys of the file, as recorded, and an organic conversion."""
    migrate(database_url)
    write(
        database_url,
        _converted("v1", "C1", "C2", "C3", revenue_micros=10_000_000, currency="EUR"),
        _converted("v2"),
        *(
            an_event(
                f"e{i}",
                person=person,
                session_id=f"s{i}",
                timestamp_ms=AT_MS + i,
                campaign=Campaign(channel=channel),
            )
            for i, (person, channel) in enumerate([("a", "C1"), ("b", "C2"), ("b", "C3")])
        ),
    )
    monkeypatch.setenv("TRACKSTREAM_POSTGRES_URL", database_url)
    return database_url


@pytest.mark.usefixtures("stored")
def test_recorded_journeys_give_what_their_file_does(journeys: str) -> None:
    for model in ("markov", "shapley", "first", "last", "position"):
        rows = fitted(*JULY, "--model", model)
        assert rows == fitted("--paths", journeys, "--model", model)
    result = fit(*JULY, "--model", "last")
    assert result.stderr == "left out: 1 organic conversions, which no touch led to\n"
    assert "no conversion" in refused(
        "--from", "2025-07-11", "--to", "2025-07-12", "--model", "last"
    )
    assert "no conversion" in refused(*JULY, "--app", "other", "--model", "markov")


@pytest.mark.usefixtures("stored")
def test_recorded_rules_know_the_times_of_touches() -> None:
    shares = fitted(*JULY, "--model", "time_decay")
    assert [row["conversions"] for row in shares.values()] == pytest.approx([1 / 3] * 3, abs=1e-3)
    assert sum(row["value"] for row in shares.values()) == 10


def test_currencies_are_not_added_up(stored: str) -> None:
    write(
        stored,
        _converted("v3", "C2", revenue_micros=7_000_000, currency="USD"),
        first_offset=100,
    )
    assert refused(*JULY, "--model", "last").splitlines() == [
        "trackstream: there is revenue in several currencies: EUR, USD",
        "trackstream: say with --currency which to count; conversions count in any case",
    ]
    rows = fitted(*JULY, "--model", "last", "--currency", "usd")
    found = {channel: (row["conversions"], row["value"]) for channel, row in rows.items()}
    assert found == {"C1": (0.0, 0.0), "C2": (1.0, 7.0), "C3": (1.0, 0.0)}


@pytest.mark.usefixtures("stored")
def test_results_are_kept_and_listed(journeys: str) -> None:
    saved = fit(*JULY, "--model", "markov", "--save")
    assert saved.exit_code == 0
    assert "kept as " in saved.stderr
    assert fit("--paths", journeys, "--model", "last", "--save").exit_code == 0
    listed = CliRunner().invoke(main, ["models", "list", "--saved", "--json"])
    newest, first = json.loads(listed.stdout)
    assert (newest["model"], newest["source"], newest["days"]) == ("last", "paths.csv", "")
    assert (first["model"], first["source"]) == ("markov", "stored")
    assert first["days"] == "2025-07-10 to 2025-07-10"
    assert (first["parameters"], first["currency"]) == ({"order": 1}, "EUR")
    assert (first["conversions"], first["value"], first["channels"]) == (1.0, 10.0, 3)


def test_without_a_database_the_setting_is_named(journeys: str) -> None:
    for arguments in ([*JULY], ["--paths", journeys, "--save"]):
        assert "set TRACKSTREAM_POSTGRES_URL" in refused(*arguments, "--model", "last")
