"""The `trackstream` command: one file for each command, or for a few that belong together.

Every file imports at its top only what the help needs; what a command needs is imported when it
runs. `base` and `output` are what they share; `running` finds a service that runs on this machine.
"""

from __future__ import annotations

import importlib

import click

from trackstream.cli.base import Root, example

__all__ = ["main"]

# Command: the module that has it, and its name there.
_COMMANDS = {
    "up": ("start", "up"),
    "worker": ("serve", "worker"),
    "collect": ("serve", "collect"),
    "warehouse": ("serve", "warehouse"),
    "migrate": ("prepare", "migrate"),
    "topics": ("prepare", "topics"),
    "schemas": ("contracts", "schemas"),
    "apps": ("registered", "apps"),
    "keys": ("registered", "keys"),
    "links": ("registered_links", "links"),
    "rules": ("rules", "rules"),
    "events": ("events", "events"),
    "postbacks": ("postbacks", "postbacks"),
    "archive": ("archive", "archive"),
    "explain": ("explain", "explain"),
    "replay": ("replay", "replay"),
    "rejected": ("rejected", "rejected"),
    "fraud": ("fraud", "fraud"),
    "models": ("models", "models"),
    "funnels": ("funnels", "funnels"),
    "views": ("views", "views"),
    "retention": ("retention", "retention"),
    "import": ("import_log", "import_"),
    "simulate": ("simulate", "simulate"),
    "settings": ("configured", "settings"),
}


class _Lazy(Root):
    """Imports a command's file when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 # click's signature
        """All commands, in the order in which somebody meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 # click's signature
        """The command of this name, None if there is none."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        return command


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 # click's signature
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"trackstream {version('trackstream')}")
        ctx.exit()


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example("trackstream up", "trackstream explain demo:event-1"),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def main() -> None:
    """Self-hosted attribution and event tracking.

    Settings are environment variables TRACKSTREAM_*, and a file trackstream.toml in the data
    directory; `trackstream settings` lists them. Beside a running `trackstream up`, commands find
    it by the data directory alone.
    """
