"""Tables for people and, with `--json`, for programs."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["WIDE", "harmless", "json_option", "moment", "print_rich", "show"]

_Command = TypeVar("_Command", bound="Callable[..., Any]")

_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
WIDE = 2_000
"""Columns where there is no terminal to ask."""


def json_option(command: _Command) -> _Command:
    """Add `--json`, handed to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")(
        command
    )


def show(
    rows: Sequence[Mapping[str, Any]], *, as_json: bool, columns: Sequence[str], empty: str
) -> None:
    """Print the rows.

    Args:
        rows: What there is; every row has the columns, and in JSON whatever else it holds.
        as_json: A JSON list of objects instead of a table.
        columns: The keys that the table shows, in order; each is its own heading.
        empty: What to say on standard error when there are no rows.
    """
    if as_json:
        text = json.dumps([dict(row) for row in rows], default=str, ensure_ascii=False)
        click.echo(_UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
        return
    if not rows:
        click.echo(empty, err=True)
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        table.add_row(*(Text(_cell(row[column]), overflow="fold") for column in columns))
    print_rich(table)


def harmless(text: str) -> str:
    """The text as a terminal may have it: what a sender has put in to steer it is U+FFFD."""
    return text if text.isprintable() else _UNSHOWN.sub("\ufffd", text)


def print_rich(*things: Any) -> None:
    """Print what rich renders, without the spaces at the ends of lines that its tables have."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    with console.capture() as captured:
        console.print(*things, sep="\n")
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return harmless(text)


def moment(at_ms: int, *, exact: bool = False) -> str:
    """An instant, epoch milliseconds, as people read it: UTC, to the second, or exact."""
    from datetime import UTC, datetime

    text = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{at_ms % 1000:03}" if exact else text
