"""Of a log, the lines that tell why its program has ended."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["telling"]

_ERROR = re.compile(r"\b(?:ERROR|CRITICAL|FATAL|PANIC)\b")
_TRACEBACK = "Traceback (most recent call last)"
_RECORD = re.compile(r"\[?\d{4}-\d\d-\d\d[ T]")
"""How a record begins; other lines go on with the one before."""
_MOST_LINES = 20
_END_LINES = 5
_STOPPING_LINES = 100
"""How many lines a program may write between the error that ends it and its end."""


def telling(lines: Sequence[str]) -> list[str]:
    """Some twenty lines: the last error with the end of its traceback, and the last lines of all.

    Where no error is told, the last lines alone. An error with a traceback is taken before later
    ones without, if it is near: a program that stops for an error often tells of more that goes
    wrong then.
    """
    start, end = _error(lines)
    if start is None or len(lines) - start <= _MOST_LINES:
        return list(lines[-_MOST_LINES:] if start is None else lines[start:])
    block, rest = list(lines[start:end]), lines[end:]
    room = _MOST_LINES - _END_LINES
    if len(block) > room:
        block = [block[0], "…", *block[2 - room :]]
    if len(rest) <= _MOST_LINES - len(block):
        return [*block, *rest]
    return [*block, "…", *rest[-_END_LINES:]]


def _error(lines: Sequence[str]) -> tuple[int | None, int]:
    """From where to where the error is told that matters."""
    found: tuple[int, int] | None = None
    for start, end in _records(lines):
        if found is not None and end < len(lines) - _STOPPING_LINES:
            break
        traced = [n for n in range(start, end) if lines[n].startswith(_TRACEBACK)]
        is_error = _ERROR.search(lines[start]) is not None
        if traced:
            return start if is_error else traced[0], end
        if is_error and found is None:
            found = start, end
    return found or (None, len(lines))


def _records(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Each record with the lines that go on with it, the last first; what comes before any, too."""
    end = len(lines)
    for number in range(len(lines) - 1, -1, -1):
        if not number or _RECORD.match(lines[number]):
            yield number, end
            end = number
