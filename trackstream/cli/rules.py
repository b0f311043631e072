"""`trackstream rules`: check, set and look through the rules by which an app is attributed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from trackstream.cli.base import Problem, example
from trackstream.cli.database import database
from trackstream.cli.output import json_option, moment, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trackstream.core.models import Weigh
    from trackstream.core.rules import Rules
    from trackstream.storage.rules import Activation, RulesStore

__all__ = ["rules"]

_app = click.option("--app", "app_id", help="Whose rules; else TRACKSTREAM_APP_ID.")
_note = click.option("--note", help="Why, for the history.")


@click.group(short_help="Check, set and show the rules of attribution.")
def rules() -> None:
    """Check, set and show the rules by which an app's conversions are attributed.

    A rules file is TOML; it names what is to differ from the defaults, which docs/rules.md lists:

    \b
      click_window = "14d"
      conversion_events = ["purchase", "subscribe"]
      [fraud.actions]
      geo_mismatch = "off"

    Rules have a version that is made from their content and named in every decision. New rules
    count for what arrives some seconds after they are set, without a restart; what was decided
    before is decided again, if need be, by the rules that it was decided by.
    """  # noqa: D301 - click's mark for lines that are kept as they are


@rules.command(
    short_help="Say what is wrong with a file of rules.",
    epilog=example("trackstream rules check rules.toml", "trackstream rules check - < rules.toml"),
)
@click.argument("file", type=click.File("rb"))
@json_option
def check(file: BinaryIO, *, as_json: bool) -> None:
    """Say everything that is wrong with the rules in FILE; else, what they change.

    Needs no running service. Exits with 1 if there is something wrong.
    """
    from trackstream.cli.rules_text import changes
    from trackstream.core.rules import DEFAULT
    from trackstream.core.rules_file import rules_of_text

    made = rules_of_text(_text(file), base=DEFAULT, models=known_models())
    rows = [
        {"rule": key, "value": value, "default": default}
        for key, value, default in changes(made, DEFAULT)
    ]
    show(rows, as_json=as_json, columns=["rule", "value", "default"], empty="Nothing is changed.")
    click.echo(f"No problems. The version is {made.version}.", err=True)


@rules.command(
    "set",
    short_help="Have an app's rules be those of a file.",
    epilog=example(
        "trackstream rules set rules.toml --note 'longer window for spring'",
        "trackstream rules set rules.toml --app shop",
    ),
)
@click.argument("file", type=click.File("rb"))
@_app
@_note
@json_option
def set_(file: BinaryIO, app_id: str | None, note: str | None, *, as_json: bool) -> None:
    """Have an app's rules be those of FILE, and of the defaults for all that it does not name.

    The same rules again are no change. An empty file is the defaults.
    """
    text = _text(file)
    with _store() as (there, own_app):
        done = there.set(app_id or own_app, text, note=note)
    _show([done], as_json=as_json)


@rules.command(
    short_help="Have older rules count again.",
    epilog=example(
        "trackstream rules activate rules-0f3a5c7e9b1d --note 'as it was'",
    ),
)
@click.argument("version")
@_app
@_note
@json_option
def activate(version: str, app_id: str | None, note: str | None, *, as_json: bool) -> None:
    """Have the rules VERSION, which were set before, count again."""
    with _store() as (there, own_app):
        done = there.activate(app_id or own_app, version, note=note)
    _show([done], as_json=as_json)


@rules.command(
    "show",
    short_help="Print an app's rules as a file.",
    epilog=example(
        "trackstream rules show > rules.toml",
        "trackstream rules show --full",
        "trackstream rules show --version rules-0f3a5c7e9b1d",
    ),
)
@click.option("--version", help="An older version, as decisions name it; else the last one set.")
@click.option("--full", is_flag=True, help="Every rule, those that were not named, too.")
@_app
@json_option
def show_one(version: str | None, app_id: str | None, *, full: bool, as_json: bool) -> None:
    """Print an app's rules: the file as it was set, ready to be changed and set again."""
    from trackstream.cli.rules_text import toml_of, values_of
    from trackstream.core.rules import DEFAULT

    with _store() as (there, own_app):
        app_id = app_id or own_app
        found = there.show(app_id, version)
    its: Rules = found.rules if found else DEFAULT
    if as_json:
        defaults = values_of(DEFAULT)
        show(
            [
                {"rule": key, "value": value, "default": defaults.get(key), "version": its.version}
                for key, value in values_of(its).items()
            ],
            as_json=True,
            columns=[],
            empty="",
        )
        return
    if full:
        click.echo(f"# {its.version}\n{toml_of(its)}", nl=False)
    elif found:
        click.echo(found.toml, nl=not found.toml.endswith("\n"))
    else:
        click.echo(f"# No rules were set for {app_id}: the defaults count, see --full.")


@rules.command(epilog=example("trackstream rules history --app shop"))
@_app
@json_option
def history(app_id: str | None, *, as_json: bool) -> None:
    """List which rules counted from when on, the last one last."""
    with _store() as (there, own_app):
        found = there.history(app_id or own_app)
    _show(found, as_json=as_json)


def _show(found: list[Activation], *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "app_id": one.app_id,
            "version": one.version,
            "set_at": moment(one.activated_at_ms),
            "counts_from": moment(one.effective_at_ms),
            "note": one.note,
        }
        for one in found
    ]
    show(
        rows,
        as_json=as_json,
        columns=["version", "set_at", "counts_from", "note", "app_id"],
        empty="No rules were set: the defaults count. `trackstream rules set` sets some.",
    )


def _text(file: BinaryIO) -> str:
    try:
        return file.read().decode()
    except UnicodeDecodeError as error:
        raise Problem(f"{file.name} is not UTF-8: {error}") from error


def known_models() -> Mapping[str, Weigh]:
    """The models that rules may name: the built-in ones, and those that are installed here."""
    from trackstream.analysis import own_models
    from trackstream.core.credits import MODELS

    own = own_models.load()
    for problem in own.problems:
        click.echo(f"trackstream: {problem}", err=True)
    return {**MODELS, **own.models}


@contextlib.contextmanager
def _store() -> Iterator[tuple[RulesStore, str]]:
    """The rules in the configured database, and the app that commands act for."""
    from trackstream.storage.rules import RulesStore

    with database() as (engine, settings):
        yield RulesStore(engine, models=known_models()), settings.app_id
