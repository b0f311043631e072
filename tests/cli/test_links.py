"""`trackstream links`, on a real database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from trackstream.cli import main
from trackstream.storage.migrations import migrate

if TYPE_CHECKING:
    from pathlib import Path


def test_a_campaign_id_that_another_app_has_is_told(database_url: str, tmp_path: Path) -> None:
    migrate(database_url)
    environ = {
        "TRACKSTREAM_POSTGRES_URL": database_url,
        "TRACKSTREAM_MASTER_KEY": "ab" * 32,
        "TRACKSTREAM_DATA_DIR": str(tmp_path),
    }

    def run(*words: str) -> tuple[str, str]:
        result = CliRunner().invoke(main, words, env=environ)
        assert result.exit_code == 0, result.output
        return result.stdout, result.stderr

    for app_id in ("shop", "other"):
        run("apps", "create", app_id)
    create = ("links", "create", "spring", "--web", "https://shop.example/", "--json", "--app")
    assert run(*create, "shop")[1] == run(*create, "shop")[1] == ""
    made, warning = run(*create, "other")
    assert json.loads(made)[0]["app_id"] == "other"
    assert "is also one of shop" in warning
    assert "app_id=other" in warning
