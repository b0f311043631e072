"""What every command shares: how errors end a command, how help shows an example."""

from __future__ import annotations

import sys
from typing import Any

import click

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
    if _is(error, "trackstream.settings", "SettingsError"):
        problems: list[str] = error.problems  # type: ignore[attr-defined] # not imported here
        return problems
    if _is(error, "trackstream.embedded.errors", "EmbeddedError"):
        return str(error).splitlines()
    if _is(error, "trackstream.storage.errors", "StorageError"):
        return str(error).splitlines()
    if _is(error, "sqlalchemy.exc", "OperationalError") or _is(
        error, "psycopg2", "OperationalError"
    ):
        said = str(error.__cause__ or error).strip().splitlines()
        return [f"PostgreSQL: {said[0] if said else error}", "check TRACKSTREAM_POSTGRES_URL"]
    if _is(error, "aiokafka.errors", "KafkaError"):
        return [f"Kafka: {error}; check TRACKSTREAM_KAFKA_URL"]
    if _is(error, "aiohttp", "ClientConnectionError"):
        return [f"the collector does not answer: {error}; check TRACKSTREAM_COLLECTOR_URL"]
    return None


def _is(error: Exception, module: str, name: str) -> bool:
    # An exception's class has been imported; nothing heavy is imported only to ask.
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(error, getattr(loaded, name, ()))
