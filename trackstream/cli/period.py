"""`--from` and `--to`: days in UTC, both included."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["days", "period_options"]

_Command = TypeVar("_Command", bound="Callable[..., Any]")
_DAY = click.DateTime(["%Y-%m-%d"])


def period_options(
    what: str, *, required: bool = True, default: str = ""
) -> Callable[[_Command], _Command]:
    """Add `--from` and `--to`, handed to the command as `first` and `last`.

    Args:
        what: Of what the days are, in the help.
        required: Whether both have to be given.
        default: What they are else, in the help.
    """
    shown = f"  [default: {default}]" if default else ""

    def decorate(command: _Command) -> _Command:
        last = click.option(
            "--to", "last", type=_DAY, required=required, help="The last day, included."
        )
        first = click.option(
            "--from",
            "first",
            type=_DAY,
            required=required,
            help=f"{what}: the first day, in UTC.{shown}",
        )
        return first(last(command))

    return decorate


def days(
    first: datetime | None, last: datetime | None, *, default_days: int = 30
) -> tuple[datetime, datetime]:
    """The first moment, and the one after the last; what is missing ends today.

    Raises:
        click.UsageError: they end before they begin.
    """
    end = (last or datetime.now(UTC)).replace(tzinfo=UTC, hour=0, minute=0, second=0, microsecond=0)
    end += timedelta(days=1)
    begin = first.replace(tzinfo=UTC) if first else end - timedelta(days=default_days)
    if begin >= end:
        raise click.UsageError("--to is before --from")
    return begin, end
