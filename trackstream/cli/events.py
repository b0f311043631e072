"""`trackstream events`: check, set and show the events that an app defines."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from trackstream.cli.base import Problem, example
from trackstream.cli.database import database
from trackstream.cli.output import json_option, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from trackstream.core.definitions import Definitions

__all__ = ["events"]

_app = click.option("--app", "app_id", help="Whose events; else TRACKSTREAM_APP_ID.")
_COLUMNS = ["event", "property", "type", "required", "values", "range"]


@click.group(short_help="Check, set and show the events that an app defines.")
def events() -> None:
    """Check, set and show the events that an app defines.

    The file is TOML; docs/events.md has all of it:

    \b
      mode = "strict"
      [events.level_up.properties]
      level = { type = "integer", required = true, min = 1 }

    In strict mode the collector refuses what is not defined, or not as it is defined; in lenient
    mode it accepts and marks it. An app that defines nothing may send everything.
    """  # noqa: D301 - click's mark for lines that are kept as they are


@events.command(
    short_help="Say what is wrong with a file of events.",
    epilog=example("trackstream events check events.toml"),
)
@click.argument("file", type=click.File("rb"))
@json_option
def check(file: BinaryIO, *, as_json: bool) -> None:
    """Say everything that is wrong with FILE; else, what it defines. Needs no running service.

    Exits with 1 if there is something wrong.
    """
    from trackstream.core.definitions_file import definitions_of_text

    _show(definitions_of_text(_text(file)), as_json=as_json)


@events.command(
    "set",
    short_help="Have an app's events be those of a file.",
    epilog=example("trackstream events set events.toml", "trackstream events set - < events.toml"),
)
@click.argument("file", type=click.File("rb"))
@_app
@json_option
def set_(file: BinaryIO, app_id: str | None, *, as_json: bool) -> None:
    """Have an app's events be those of FILE; an empty one defines none.

    Collectors know it within seconds, without a restart.
    """
    from trackstream.core.definitions_file import definitions_of_text
    from trackstream.storage.definitions import set_definitions

    text = _text(file)
    with _there() as (engine, own_app):
        set_definitions(engine, app_id or own_app, text)
    _show(definitions_of_text(text), as_json=as_json)


@events.command(
    "show",
    short_help="Print an app's events as a file.",
    epilog=example("trackstream events show > events.toml", "trackstream events show --json"),
)
@_app
@json_option
def show_one(app_id: str | None, *, as_json: bool) -> None:
    """Print an app's events: the file as it was set, ready to be changed and set again."""
    from trackstream.core.definitions_file import definitions_of_text
    from trackstream.storage.definitions import shown_definitions

    with _there() as (engine, own_app):
        app_id = app_id or own_app
        text = shown_definitions(engine, app_id)
    if as_json:
        _show(definitions_of_text(text or ""), as_json=True)
    elif text is None:
        click.echo(f"# {app_id} defines no events: it may send everything.")
    else:
        click.echo(text, nl=not text.endswith("\n"))


def _show(made: Definitions, *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for name, event in made.events.items():
        if not event.properties:
            rows.append({**dict.fromkeys(_COLUMNS), "event": name})
        rows += [
            {
                "event": name,
                "property": key,
                "type": one.type,
                "required": one.required,
                "values": one.enum,
                "range": None if one.min is None and one.max is None else [one.min, one.max],
            }
            for key, one in event.properties.items()
        ]
    show(rows, as_json=as_json, columns=_COLUMNS, empty="No events are defined.")
    known = "known" if made.standard else "not known"
    click.echo(f"No problems. The mode is {made.mode}; standard events are {known}.", err=True)


def _text(file: BinaryIO) -> str:
    try:
        return file.read().decode()
    except UnicodeDecodeError as error:
        raise Problem(f"{file.name} is not UTF-8: {error}") from error


@contextlib.contextmanager
def _there() -> Iterator[tuple[Engine, str]]:
    """The configured database, and the app that commands act for."""
    with database() as (engine, settings):
        yield engine, settings.app_id
