"""`trackstream apps` and `trackstream keys`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from trackstream.cli.base import example
from trackstream.cli.output import json_option, moment, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackstream.storage.registry import Registry

__all__ = ["apps", "keys", "registry"]


@contextlib.contextmanager
def registry() -> Iterator[tuple[Registry, str]]:
    """The registry in the configured database, and the app that commands act for.

    Raises:
        Problem: no database is configured.
        StorageError: PostgreSQL does not answer, or the master key cannot be used.
    """
    from trackstream.cli.running import needed, settings_beside
    from trackstream.storage.database import make_engine
    from trackstream.storage.registry import Registry
    from trackstream.storage.sealing import MasterKey

    settings = settings_beside()
    (url,) = needed(settings, "postgres_url")
    engine = make_engine(url)
    try:
        yield Registry(engine, MasterKey.load(settings)), settings.app_id
    finally:
        engine.dispose()


@click.group(short_help="Create and list apps.")
def apps() -> None:
    """Create and list apps, whose events are kept apart from each other."""


@apps.command(epilog=example("trackstream apps create shop --name 'The shop'"))
@click.argument("app_id")
@click.option("--name", help="What people call it; else its id.")
@json_option
def create(app_id: str, name: str | None, *, as_json: bool) -> None:
    """Create the app APP_ID."""
    with registry() as (there, _):
        app = there.create_app(app_id, name)
    _show_apps([{"app_id": app.app_id, "name": app.name}], as_json=as_json)


@apps.command("list", epilog=example("trackstream apps list", "trackstream apps list --json"))
@json_option
def list_(*, as_json: bool) -> None:
    """List all apps."""
    with registry() as (there, _):
        found = there.list_apps()
    _show_apps([{"app_id": one.app_id, "name": one.name} for one in found], as_json=as_json)


def _show_apps(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    show(
        rows,
        as_json=as_json,
        columns=["app_id", "name"],
        empty="There is no app yet: `trackstream apps create` makes one.",
    )


@click.group(short_help="Create, list and revoke keys of apps.")
def keys() -> None:
    """Create, list and revoke the keys with which senders show whose events they send."""


@keys.command(
    "create",
    epilog=example(
        "trackstream keys create --app shop --kind server",
        "trackstream keys create --app shop --kind write --origin https://shop.example.com",
    ),
)
@click.option("--app", "app_id", help="Whose key; else TRACKSTREAM_APP_ID.")
@click.option(
    "--kind",
    type=click.Choice(["server", "write"]),
    default="server",
    show_default=True,
    help="server: signs requests with its secret. write: for browsers and apps, no secret.",
)
@click.option(
    "--origin", "origins", multiple=True, help="A web origin that may use a write key; else any."
)
@json_option
def create_key(app_id: str | None, kind: str, origins: tuple[str, ...], *, as_json: bool) -> None:
    """Create a key and print it; a secret is shown this once."""
    with registry() as (there, own_app):
        key = there.create_key(app_id or own_app, kind, origins=origins)
    row = {
        "key_id": key.key_id,
        "app_id": key.app_id,
        "kind": key.kind,
        "secret": key.secret,
        "origins": list(key.origins),
    }
    show([row], as_json=as_json, columns=list(row), empty="")


@keys.command("list", epilog=example("trackstream keys list --app shop"))
@click.option("--app", "app_id", help="Only this app's.")
@json_option
def list_keys(app_id: str | None, *, as_json: bool) -> None:
    """List keys, revoked ones too, without their secrets."""
    with registry() as (there, _):
        found = there.list_keys(app_id)
    rows = [
        {
            "key_id": one.key_id,
            "app_id": one.app_id,
            "kind": one.kind,
            "origins": list(one.origins),
            "created_at": moment(one.created_at_ms),
            "revoked_at": None if one.revoked_at_ms is None else moment(one.revoked_at_ms),
        }
        for one in found
    ]
    show(
        rows,
        as_json=as_json,
        columns=["key_id", "app_id", "kind", "origins", "created_at", "revoked_at"],
        empty="There is no key yet: `trackstream keys create` makes one.",
    )


@keys.command(epilog=example("trackstream keys revoke srv_abc123"))
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Let the key KEY_ID be of no use from now on; collectors know within some seconds."""
    with registry() as (there, _):
        there.revoke_key(key_id)
    click.echo(f"{key_id} is revoked.")
