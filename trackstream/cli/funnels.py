"""`trackstream funnels`: check, set, list and count an app's funnels."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from trackstream.cli.base import Problem, example
from trackstream.cli.database import database
from trackstream.cli.funnels_live import live, percent
from trackstream.cli.output import json_option, moment, show
from trackstream.cli.period import days, period_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from sqlalchemy import Engine

    from trackstream.core.funnels import Funnel

__all__ = ["funnels"]

_app = click.option("--app", "app_id", help="Whose; else TRACKSTREAM_APP_ID.")


@click.group(short_help="Define funnels, and count who comes how far.")
def funnels() -> None:
    """Define an app's funnels, ordered steps within a time limit, and count who comes how far.

    \b
      [checkout]
      within = "7d"
      [[checkout.steps]]
      event = "view_item"
      [[checkout.steps]]
      event = "purchase"
      where = { price = { min = 10 } }

    `live` has the counts of today within seconds, from the stream; `show` is exact, for any days,
    from the database. docs/funnels.md says what counts.
    """  # noqa: D301 - click's mark for lines that are kept as they are


funnels.add_command(live)


@funnels.command(
    epilog=example("trackstream funnels check funnels.toml"),
    short_help="Say what is wrong with a file of funnels.",
)
@click.argument("file", type=click.File("rb"))
@json_option
def check(file: BinaryIO, *, as_json: bool) -> None:
    """Say everything that is wrong with the funnels in FILE; else, list them.

    Needs no running service. Exits with 1 if there is something wrong.
    """
    from trackstream.core.funnels_file import funnels_of_text

    _list(funnels_of_text(_text(file)).values(), as_json=as_json)


@funnels.command(
    "set",
    epilog=example("trackstream funnels set funnels.toml --app shop --note 'with the new cart'"),
    short_help="Have an app's funnels be those of a file.",
)
@click.argument("file", type=click.File("rb"))
@_app
@click.option("--note", help="Why; kept beside it.")
@json_option
def set_(file: BinaryIO, app_id: str | None, note: str | None, *, as_json: bool) -> None:
    """Have an app's funnels be those of FILE, and no others.

    Workers count them live from five seconds later on; one that stays as it was goes on counting.
    """
    from trackstream.storage.funnels import set_funnels

    toml = _text(file)
    with _opened(app_id) as (engine, whose):
        done = set_funnels(engine, whose, toml, note=note)
    _list(done.parsed().values(), as_json=as_json)
    click.echo(f"Counted live from {moment(done.effective_at_ms)} UTC on.", err=True)


@funnels.command("list", epilog=example("trackstream funnels list --app shop"))
@_app
@json_option
def list_(app_id: str | None, *, as_json: bool) -> None:
    """List an app's funnels and their steps."""
    _list(_of_app(app_id).values(), as_json=as_json)


@funnels.command(
    "show",
    epilog=example("trackstream funnels show checkout --from 2025-07-01 --to 2025-07-31"),
    short_help="Count who comes how far.",
)
@click.argument("name")
@period_options("Entries", required=False, default="the last 30 days")
@_app
@json_option
def show_one(
    name: str, first: datetime | None, last: datetime | None, app_id: str | None, *, as_json: bool
) -> None:
    """Count who comes how far in the funnel NAME, of those who entered it on these days.

    Each person, or session, counts once. `median` is the time from the step before. Those who
    entered lately may still come further.
    """
    from datetime import UTC, datetime, timedelta

    from trackstream.cli.explanation import duration
    from trackstream.storage.funnels import count

    begin, end = days(first, last)
    known = _of_app(app_id)
    if name not in known:
        raise Problem(f"there is no funnel {name}: `trackstream funnels list`")
    funnel = known[name]
    with _opened(app_id) as (engine, whose):
        found = count(engine, whose, funnel, begin=begin, end=end)
    rows: list[dict[str, Any]] = []
    for number, (step, one) in enumerate(zip(funnel.steps, found, strict=True), 1):
        about = {"step": number, "event": list(step.events), "count": one.count}
        if as_json:
            shares: dict[str, Any] = {"of_previous": one.of_previous, "of_first": one.of_first}
            rows.append({**about, **shares, "median_ms": one.median_ms})
        else:
            shares = {"of_previous": percent(one.of_previous), "of_first": percent(one.of_first)}
            took = "" if one.median_ms is None else duration(round(one.median_ms))
            rows.append({**about, **shares, "median": took})
    columns = ["step", "event", "count", "of_previous", "of_first", "median"]
    show(rows, as_json=as_json, columns=columns, empty="")
    if end + timedelta(milliseconds=funnel.within_ms) > datetime.now(UTC):
        click.echo("The time of some who entered has not passed: they may come further.", err=True)


def _list(found: Iterable[Funnel], *, as_json: bool) -> None:
    from trackstream.cli.explanation import duration

    rows = [
        {
            "name": one.name,
            "by": one.by,
            "within": one.within_ms if as_json else duration(one.within_ms),
            "steps": [" or ".join(step.events) for step in one.steps],
        }
        for one in found
    ]
    empty = "There is no funnel: `trackstream funnels set` sets some."
    show(rows, as_json=as_json, columns=["name", "by", "within", "steps"], empty=empty)


def _of_app(app_id: str | None) -> dict[str, Funnel]:
    from trackstream.storage.funnels import last

    with _opened(app_id) as (engine, whose):
        found = last(engine, whose)
    return found.parsed() if found else {}


def _text(file: BinaryIO) -> str:
    try:
        return file.read().decode()
    except UnicodeDecodeError as error:
        raise Problem(f"{file.name} is not UTF-8: {error}") from error


@contextmanager
def _opened(app_id: str | None) -> Iterator[tuple[Engine, str]]:
    with database() as (engine, settings):
        yield engine, app_id or settings.app_id
