"""`trackstream apps` and `trackstream keys`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from trackstream.cli.base import example
from trackstream.cli.database import database
from trackstream.cli.output import json_option, moment, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackstream.ports import Key
    from trackstream.storage.registered_keys import KeyInfo
    from trackstream.storage.registry import Registry

__all__ = ["apps", "keys", "registry"]


@contextlib.contextmanager
def registry() -> Iterator[tuple[Registry, str]]:
    """The registry in the configured database, and the app that commands act for.

    Raises:
        Problem: no database is configured.
        StorageError: PostgreSQL does not answer, or the master key cannot be used.
    """
    from trackstream.storage.registry import Registry
    from trackstream.storage.sealing import MasterKey

    with database() as (engine, settings):
        yield Registry(engine, MasterKey.load(settings)), settings.app_id


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


@click.group(short_help="Create, list, rotate and revoke keys of apps.")
def keys() -> None:
    """Create, list, rotate and revoke the keys with which senders show whose events they send."""


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
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["ingest", "read", "admin", "erase"]),
    help="What a server key is for; again for another.  [default: ingest and read]",
)
@json_option
def create_key(
    app_id: str | None,
    kind: str,
    origins: tuple[str, ...],
    scopes: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Create a key and print it; a secret is shown this once."""
    with registry() as (there, own_app):
        key = there.create_key(app_id or own_app, kind, origins=origins, scopes=scopes)
    _show_key(key, as_json=as_json)


def _show_key(key: Key, *, as_json: bool) -> None:
    row = {
        "key_id": key.key_id,
        "app_id": key.app_id,
        "kind": key.kind,
        "secret": key.secret,
        "origins": list(key.origins),
        "scopes": list(key.scopes),
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
            "scopes": list(one.scopes),
            "created_at": moment(one.created_at_ms),
            "rotated_at": _moment(one.rotated_at_ms),
            "old_secret": _old_secret(one),
            "revoked_at": _moment(one.revoked_at_ms),
        }
        for one in found
    ]
    show(
        rows,
        as_json=as_json,
        columns=[
            *("key_id", "app_id", "kind", "origins", "scopes"),
            *("created_at", "rotated_at", "old_secret", "revoked_at"),
        ],
        empty="There is no key yet: `trackstream keys create` makes one.",
    )


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else moment(at_ms)


def _old_secret(one: KeyInfo) -> str | None:
    """Until when the secret before the last rotation signs; None: it does not."""
    if not one.previous:
        return None
    return _moment(one.previous_until_ms) or "until retired"


@keys.command(
    epilog=example(
        "trackstream keys rotate srv_abc123 --grace 48h", "trackstream keys retire srv_abc123"
    )
)
@click.argument("key_id")
@click.option(
    "--grace",
    "grace_s",
    callback=lambda _, __, text: None if text is None else _seconds(text),
    help="How long the old secret signs, too, such as 30m, 48h or 7d; else until it is retired.",
)
@json_option
def rotate(key_id: str, grace_s: int | None, *, as_json: bool) -> None:
    """Give the server key KEY_ID a new secret, shown this once; the old one stays valid, too."""
    with registry() as (there, _):
        key = there.rotate_key(key_id, grace_s=grace_s)
    _show_key(key, as_json=as_json)


def _seconds(text: str) -> int:
    unit_s = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}.get(text[-1:])
    if unit_s is None or not (text[:-1].isascii() and text[:-1].isdigit() and len(text) < 6):
        raise click.BadParameter("takes a number and s, m, h or d, such as 48h")
    return int(text[:-1]) * unit_s


@keys.command(epilog=example("trackstream keys retire srv_abc123"))
@click.argument("key_id")
def retire(key_id: str) -> None:
    """Let the secret that KEY_ID had before its last rotation be of no use from now on."""
    with registry() as (there, _):
        there.retire_key(key_id)
    click.echo(f"The old secret of {key_id} is retired.")


@keys.command(epilog=example("trackstream keys revoke srv_abc123"))
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Let the key KEY_ID be of no use from now on; collectors know within some seconds."""
    with registry() as (there, _):
        there.revoke_key(key_id)
    click.echo(f"{key_id} is revoked.")
