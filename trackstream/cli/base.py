"""What every command shares: how errors end a command, how help shows an example."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Problem", "Root", "example"]


class Problem(click.ClickException):
    """A command cannot do what was asked: the lines, on standard error, say what to do.

    The exit code is 1, as for every error that is not one of usage (2).
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))

    def show(self, file: Any = None) -> None:
        """Write the lines to standard error, or to the file."""
        for line in self.message.splitlines():
            click.echo(f"trackstream: {line}", file=file, err=True)


def example(*lines: str) -> str:
    """The end of a command's help: lines to try, kept as they are."""
    return "\n".join(["\b", "Example:", *(f"  {line}" for line in lines)])


class Root(click.Group):
    """The group that turns what the layers below raise into a `Problem`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Raises:
            Problem: instead of an error that a user can do something about.
        """
        try:
            return super().invoke(ctx)
        except Exception as error:
            lines = _explained(error)
            if lines is None:
                raise
            raise Problem(*lines) from error


def _explained(error: Exception) -> list[str] | None:
    """What to tell the user, None for an error of our own making, which keeps its traceback."""
    for module, name, lines in _KNOWN:
        # An exception's class has been imported; nothing heavy is imported only to ask.
        loaded = sys.modules.get(module)
        if loaded is not None and isinstance(error, getattr(loaded, name, ())):
            return lines(error)
    return None


def _own_lines(error: Any) -> list[str]:
    return str(error).splitlines()


_KNOWN: tuple[tuple[str, str, Callable[[Any], list[str]]], ...] = (
    ("trackstream.settings", "SettingsError", lambda error: error.problems),
    ("trackstream.core.rules_file", "RulesError", lambda error: error.problems),
    (
        "trackstream.core.definitions_file",
        "DefinitionsError",
        lambda error: error.problems,
    ),
    ("trackstream.core.funnels_file", "FunnelsError", lambda error: error.problems),
    ("trackstream.embedded.errors", "EmbeddedError", _own_lines),
    ("trackstream.storage.errors", "StorageError", _own_lines),
    (
        "sqlalchemy.exc",
        "OperationalError",
        lambda error: [
            f"PostgreSQL: {str(error.orig).strip().partition(chr(10))[0]}",
            "check TRACKSTREAM_POSTGRES_URL",
        ],
    ),
    (
        "sqlalchemy.exc",
        "ProgrammingError",
        lambda error: [
            f"PostgreSQL: {str(error.orig).strip().partition(chr(10))[0]}",
            "if the tables are missing, `trackstream migrate` makes them",
        ],
    ),
    (
        "aiokafka.errors",
        "KafkaError",
        lambda error: [f"Kafka: {error}", "check TRACKSTREAM_KAFKA_URL"],
    ),
    (
        "aiohttp",
        "ClientConnectionError",
        lambda error: [
            f"the collector does not answer: {error}",
            "check TRACKSTREAM_COLLECTOR_URL",
        ],
    ),
)
"""What the layers below raise: module, class, and what is said of it."""
