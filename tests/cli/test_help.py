from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from trackstream.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(_commands(main))


def test_every_command_of_the_contract_is_there() -> None:
    assert {" ".join(one) for one in COMMANDS} == {
        "up",
        "worker",
        "collect",
        "warehouse",
        "migrate",
        "topics create",
        "topics list",
        "schemas list",
        "schemas show",
        "schemas push",
        "apps create",
        "apps list",
        "keys create",
        "keys list",
        "keys retire",
        "keys revoke",
        "keys rotate",
        "links create",
        "links list",
        "rules check",
        "rules set",
        "rules show",
        "rules history",
        "rules activate",
        "events check",
        "events set",
        "events show",
        "postbacks create",
        "postbacks list",
        "postbacks disable",
        "postbacks test",
        "postbacks run",
        "postbacks dead",
        "postbacks resend",
        "archive run",
        "archive verify",
        "explain",
        "replay",
        "rejected list",
        "rejected show",
        "rejected replay",
        "fraud sources",
        "fraud list",
        "fraud unmark",
        "fraud report",
        "models fit",
        "models list",
        "funnels check",
        "funnels live",
        "funnels set",
        "funnels list",
        "funnels show",
        "views refresh",
        "retention run",
        "import access-log",
        "simulate",
        "settings",
    }


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_says_what_a_command_does_with_an_example(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*command, "--help"], prog_name="trackstream")
    assert result.exit_code == 0
    what, _, examples = result.output.partition("Example:")
    assert f"trackstream {' '.join(command)}" in examples
    sentences = what.split("\n\n", 1)[1].split("Options:")[0]
    assert len(sentences.split()) >= 3


def test_the_list_of_commands_says_what_each_does() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    listed = result.output.partition("Commands:")[2].partition("Example:")[0]
    rows = [line for line in listed.splitlines() if line[:2] == "  " and line[2:3].strip()]
    assert len(rows) == 25
    assert all(len(row.split()) >= 3 for row in rows)


def test_the_version_is_that_of_the_distribution() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.output == f"trackstream {version('trackstream')}\n"


def test_help_imports_nothing_heavy() -> None:
    """What keeps `--help` quick: measured by what is imported, not by a busy machine's clock."""
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from trackstream.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"aiohttp", "aiokafka", "asyncio", "faust", "fastavro", "numpy", "psycopg2", "redis"}
    heavy |= {"fsspec", "pyarrow", "rich", "scipy"}
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["simulate", "--users", "0"], "--users"),
        (["schemas", "push"], "Missing argument 'URL'"),
    ],
)
def test_wrong_usage_exits_2(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not result.stdout
