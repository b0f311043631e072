"""`trackstream keys`, on a real database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from trackstream.cli import main
from trackstream.storage.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., str]


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Run:
    migrate(database_url)
    environ = {
        "TRACKSTREAM_POSTGRES_URL": database_url,
        "TRACKSTREAM_MASTER_KEY": "ab" * 32,
        "TRACKSTREAM_DATA_DIR": str(tmp_path),
        "TRACKSTREAM_APP_ID": "shop",
    }

    def run(*words: str, fails: bool = False) -> str:
        result = CliRunner().invoke(main, words, env=environ)
        assert (result.exit_code != 0) is fails, result.output
        return result.output

    run("apps", "create", "shop")
    return run


def _one(text: str) -> dict[str, Any]:
    (row,) = json.loads(text)
    return dict(row)


def test_a_key_is_made_rotated_and_retired(run: Run) -> None:
    made = _one(run("keys", "create", "--scope", "read", "--json"))
    assert made["scopes"] == ["read"]
    key_id = made["key_id"]
    rotated = _one(run("keys", "rotate", key_id, "--grace", "48h", "--json"))
    assert rotated["secret"] != made["secret"]
    listed = _one(run("keys", "list", "--json"))
    assert listed["scopes"] == ["read"]
    assert listed["created_at"] <= listed["rotated_at"] < listed["old_secret"]
    assert rotated["secret"] not in json.dumps(listed)
    run("keys", "retire", key_id)
    assert _one(run("keys", "list", "--json"))["old_secret"] is None
    run("keys", "rotate", key_id)
    assert _one(run("keys", "list", "--json"))["old_secret"] == "until retired"


@pytest.mark.parametrize("grace", ["48", "h", "-1h", "1w", "12345h"])
def test_a_grace_that_is_none_is_told(run: Run, grace: str) -> None:
    assert "such as 48h" in run("keys", "rotate", "srv_x", "--grace", grace, fails=True)
