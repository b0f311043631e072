"""Moments that options take."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from trackstream.cli import main
from trackstream.cli.moments import MOMENT

NOON_MS = 1_752_148_800_000


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2025-07-10", NOON_MS - 12 * 3_600_000),
        ("2025-07-10T12:00", NOON_MS),
        ("2025-07-10T12:00:00", NOON_MS),
        ("2025-07-10 12:00:00", NOON_MS),
        ("2025-07-10T12:00:00Z", NOON_MS),
        ("2025-07-10t12:00:00.25z", NOON_MS + 250),
        ("2025-07-10T14:00:00+02:00", NOON_MS),
        ("2025-07-09T23:30:00.123456-12:30", NOON_MS + 123),
    ],
)
def test_a_moment_is_in_utc_unless_it_says_otherwise(text: str, at_ms: int) -> None:
    assert MOMENT.convert(text, None, None) == at_ms


@pytest.mark.parametrize(
    "text",
    ["", "now", "2025-02-30", "2025-07-10T25:00:00", "20250710", "2025-W28", "2025-07-10Z", "1752"],
)
def test_what_is_no_moment_is_an_error_of_usage(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no moment"):
        MOMENT.convert(text, None, None)


@pytest.mark.parametrize(
    "command",
    [
        ["rejected", "list", "--since"],
        ["rejected", "replay", "--since"],
        ["links", "create", "c", "--web", "https://shop.example/", "--expires"],
    ],
)
def test_every_option_for_a_moment_takes_a_zone(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens there: a command that gets so far has taken the moment.
    monkeypatch.setenv("TRACKSTREAM_POSTGRES_URL", "postgresql://nobody@127.0.0.1:1/none")
    taken = CliRunner().invoke(main, [*command, "2026-11-22T00:00:00Z"])
    assert (taken.exit_code, "PostgreSQL" in taken.output) == (1, True), taken.output
    assert CliRunner().invoke(main, [*command, "tomorrow"]).exit_code == 2
