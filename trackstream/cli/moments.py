"""A moment as an option's value: a day, or a time with or without its zone; UTC without one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

__all__ = ["MOMENT"]

_FORM = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class _Moment(click.ParamType):
    """Milliseconds since 1970 of an RFC 3339 time, of which all but the day may be left out."""

    name = "moment"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002 - click's signature
        return "[DAY|TIME]"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The moment.

        Raises:
            click.BadParameter: the text is none.
        """
        if isinstance(value, int):
            return value
        text = value.strip().upper()
        if _FORM.fullmatch(text):
            try:
                at = datetime.fromisoformat(text)
                return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MS
            except ValueError:  # there is no such day, or time
                pass
        raise click.BadParameter(
            f"{value!r} is no moment: a day (2025-07-10) or a time, in UTC unless it has an offset "
            "(2025-07-10T12:00:00Z, 2025-07-10T14:00:00+02:00)",
            ctx=ctx,
            param=param,
        )


MOMENT = _Moment()
"""The type of options that take a moment: the command is given milliseconds."""
