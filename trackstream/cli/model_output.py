"""A fitted model for people (a table with bars), for programs (JSON), and as a file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trackstream.cli.base import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackstream.analysis.results import Fitted

__all__ = ["rows_of", "show_result", "write_result"]

_MILLION = 1_000_000
_BAR_CHARS = 40
_EFFECTS = {"markov": "removal_effect", "shapley": "shapley_value"}


def rows_of(result: Fitted) -> list[dict[str, Any]]:
    """One mapping for each channel, the largest share first; conversions and value in units."""
    rows = []
    for one in result.rows:
        row: dict[str, Any] = {
            "channel": one.channel,
            "share": one.share,
            "conversions": one.conversions_millionths / _MILLION,
            "value": one.value_micros / _MILLION,
        }
        if result.model in _EFFECTS:
            row[_EFFECTS[result.model]] = one.effect
        if result.model == "shapley":
            row["standard_error"] = one.standard_error
        rows.append(row)
    return rows


def write_result(result: Fitted, name: str) -> None:
    """Write the rows: as JSON if the name ends in .json, else as CSV.

    Raises:
        Problem: the file cannot be written.
    """
    rows = rows_of(result)
    try:
        with Path(name).open("w", encoding="utf-8", newline="") as file:
            if name.endswith(".json"):
                json.dump(rows, file, ensure_ascii=False, indent=2)
                file.write("\n")
            else:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    except OSError as error:
        raise Problem(f"cannot write {name}: {error.strerror}") from error


def show_result(result: Fitted, notes: Sequence[str], *, as_json: bool) -> None:
    """Print the rows, and notes on standard error."""
    if as_json:
        click.echo(json.dumps(rows_of(result), ensure_ascii=False))
    else:
        _chart(result)
        totals = result.totals
        given = "".join(f", {name} {value}" for name, value in result.parameters.items())
        click.echo(
            f"{result.model}{given}: {totals.conversions:,} converted and {totals.nulls:,} "
            f"unconverted journeys, {totals.paths:,} different paths"
        )
    for note in notes:
        click.echo(note, err=True)


def _chart(result: Fitted) -> None:
    import sys

    from rich.bar import Bar
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    sampled = any(one.standard_error for one in result.rows)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("channel", overflow="fold")
    for heading in ("share", "", "conversions", "value"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    if result.model in _EFFECTS:
        table.add_column(_EFFECTS[result.model].replace("_", " "), justify="right")
    if sampled:
        table.add_column("standard error", justify="right")
    longest = max(one.share for one in result.rows)
    for one in result.rows:
        cells: list[Text | Bar] = [
            Text(one.channel),
            Text(f"{one.share:.1%}"),
            Bar(longest, 0, one.share, width=_BAR_CHARS),
            Text(f"{one.conversions_millionths / _MILLION:,.2f}"),
            Text(f"{one.value_micros / _MILLION:,.2f}"),
        ]
        if result.model in _EFFECTS:
            cells.append(Text(f"{one.effect:,.4f}"))
        if sampled:
            cells.append(Text(f"{one.standard_error or 0:,.4f}"))
        table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
