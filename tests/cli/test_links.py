"""`trackstream links`, on a real database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from trackstream.cli import main
from trackstream.storage.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Callable[..., tuple[str, str]]:
    migrate(database_url)
    environ = {
        "TRACKSTREAM_POSTGRES_URL": database_url,
        "TRACKSTREAM_MASTER_KEY": "ab" * 32,
        "TRACKSTREAM_DATA_DIR": str(tmp_path),
    }

    def invoked(*words: str) -> tuple[str, str]:
        result = CliRunner().invoke(main, words, env=environ)
        assert result.exit_code == 0, result.output
        return result.stdout, result.stderr

    return invoked


def test_what_a_click_may_name_otherwise_is_kept_and_shown(
    run: Callable[..., tuple[str, str]],
) -> None:
    run("apps", "create", "shop")
    create = ("links", "create", "spring", "--web", "https://shop.example/", "--app", "shop")
    run(*create)
    run(*create, "--network", "acme", "--overridable", "ad_group", "--overridable", "network")
    listed = json.loads(run("links", "list", "--json")[0])
    assert [one["overridable"] for one in listed] == [[], ["network", "ad_group"]]
    assert "network, ad_group" in run("links", "list")[0]


def test_a_campaign_id_that_another_app_has_is_told(run: Callable[..., tuple[str, str]]) -> None:
    for app_id in ("shop", "other"):
        run("apps", "create", app_id)
    create = ("links", "create", "spring", "--web", "https://shop.example/", "--json", "--app")
    assert run(*create, "shop")[1] == run(*create, "shop")[1] == ""
    made, warning = run(*create, "other")
    assert json.loads(made)[0]["app_id"] == "other"
    assert "is also one of shop" in warning
    assert "app_id=other" in warning
