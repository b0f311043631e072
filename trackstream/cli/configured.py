"""`trackstream settings`."""

from __future__ import annotations

import click

from trackstream.cli.base import example
from trackstream.cli.output import json_option, show

__all__ = ["rows", "settings"]

_SECRET = {"TRACKSTREAM_MASTER_KEY", "TRACKSTREAM_SECRET"}


@click.command(
    short_help="List every setting, and what it is now.",
    epilog=example("trackstream settings", "trackstream settings --json"),
)
@json_option
def settings(*, as_json: bool) -> None:
    """List every setting: its variable, what it is now, its default, what it means.

    A setting comes from its environment variable, else from the TOML file that TRACKSTREAM_CONFIG
    names or trackstream.toml in the data directory (keys in lower case, without the prefix), else
    it has its default. Secrets are not shown, and URLs without their passwords.
    """
    show(rows(), as_json=as_json, columns=["setting", "value", "default", "what"], empty="")


def rows() -> list[dict[str, str]]:
    """One row for each setting.

    Raises:
        SettingsError: the settings cannot be used.
    """
    from trackstream.settings import PREFIX, Settings, documented

    now = Settings.load()
    found = []
    for variable, default, what in documented():
        value = getattr(now, variable.removeprefix(PREFIX).lower())
        if value is None:
            shown = ""
        elif variable in _SECRET:
            shown = "(set)"
        else:
            shown = _without_password(str(value))
        found.append({"setting": variable, "value": shown, "default": default, "what": what})
    return found


def _without_password(value: str) -> str:
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(value)
    if not parts.password:
        return value
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:…@{host}"))
