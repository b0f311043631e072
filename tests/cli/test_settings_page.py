from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner

from trackstream.cli import main
from trackstream.cli.settings_page import page
from trackstream.settings import documented

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_that_of_these_settings() -> None:
    assert PAGE.read_text("utf-8") == page(), (
        "python -m trackstream.cli.settings_page > docs/settings.md"
    )


def test_the_list_shows_values_but_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TRACKSTREAM_SECRET", "hush")
    monkeypatch.setenv("TRACKSTREAM_POSTGRES_URL", "postgresql://me:hush@db/name")
    monkeypatch.setenv("TRACKSTREAM_TICK_INTERVAL_S", "7")
    result = CliRunner().invoke(main, ["settings", "--json"])
    assert result.exit_code == 0
    rows = {row["setting"]: row for row in json.loads(result.stdout)}
    assert list(rows) == [variable for variable, _, _ in documented()]
    assert rows["TRACKSTREAM_TICK_INTERVAL_S"]["value"] == "7"
    assert rows["TRACKSTREAM_TICK_INTERVAL_S"]["default"] == "10"
    assert rows["TRACKSTREAM_SECRET"]["value"] == "(set)"
    assert rows["TRACKSTREAM_POSTGRES_URL"]["value"] == "postgresql://me:…@db/name"
    assert "hush" not in result.output


def test_the_table_is_for_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path))
    result = CliRunner().invoke(main, ["settings"])
    for variable, _, what in documented():
        (line,) = [one for one in result.stdout.splitlines() if one.split()[:1] == [variable]]
        assert what in line
