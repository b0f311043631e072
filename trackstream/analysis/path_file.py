"""The path file: journeys as the R package ChannelAttribution takes them.

    path,total_conversions,total_conversion_value,total_null
    search > email > search,3,149.97,12

Columns are told by the header and may come in any order, with others among them; the last two may
be missing. They are separated by commas, semicolons or tabs, channels by `>`.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from trackstream.core.models import PathCount
from trackstream.core.money import micros

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["COLUMNS", "PathFileError", "read"]

COLUMNS = ("path", "total_conversions", "total_conversion_value", "total_null")
_REQUIRED = COLUMNS[:2]
_MOST_SHOWN = 100
_MOST = 10**15
"""More journeys than that in a row are taken as a mistake; below it floats count exactly."""


class PathFileError(Exception):
    """The file cannot be used; `problems` has a line for everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read(lines: Iterable[str]) -> Iterator[PathCount]:
    """The rows of a path file; blank lines are left out.

    Raises:
        PathFileError: at the end, with all that is wrong (of very many problems the first hundred,
            and how many more), each with the number of its line.
    """
    source = iter(lines)
    header = next(source, "").removeprefix("\ufeff")
    delimiter = max(",;\t", key=header.count)
    names = next(csv.reader([header], delimiter=delimiter), [])
    places = {name.strip().lower(): i for i, name in enumerate(names)}
    missing = [name for name in _REQUIRED if name not in places]
    if missing:
        raise PathFileError(
            [f"line 1: the header has no column {', '.join(missing)}; it is {','.join(COLUMNS)}"]
        )
    reader = csv.reader(source, delimiter=delimiter)
    at = [places.get(name) for name in COLUMNS]
    problems: list[str] = []
    count = 0
    try:
        for row in reader:
            if not row:
                continue
            made, wrong = _row(row, at, len(names))
            if made is not None:
                yield made
                continue
            count += len(wrong)
            if len(problems) < _MOST_SHOWN:
                # Quoted fields may hold line breaks: the reader counts from the header's end.
                problems += [f"line {reader.line_num + 1}: {one}" for one in wrong]
    except csv.Error as error:
        count += 1
        problems.append(f"line {reader.line_num + 1}: {error}")
    if count > len(problems):
        problems.append(f"and {count - len(problems)} more problems")
    if problems:
        raise PathFileError(problems)


def _row(row: list[str], at: list[int | None], width: int) -> tuple[PathCount | None, list[str]]:
    if len(row) != width:
        return None, [f"{len(row)} columns where the header has {width}"]
    texts = [row[i] if i is not None else "0" for i in at]
    channels = tuple([part.strip() for part in texts[0].split(">")])
    conversions = _whole(texts[1])
    value = 0 if texts[2] == "0" else micros(texts[2].strip() or "0")
    nulls = _whole(texts[3])
    if all(channels) and conversions is not None and nulls is not None and value is not None:
        if value > 0 and conversions == 0:
            return None, ["total_conversion_value without total_conversions"]
        if value >= 0:
            return PathCount(channels, conversions, value, nulls), []
    wrong = []
    if not all(channels):
        wrong.append("the path is empty" if channels == ("",) else "the path has an empty channel")
    for name, text, number in (
        (COLUMNS[1], texts[1], conversions),
        (COLUMNS[3], texts[3], nulls),
    ):
        if number is None:
            wrong.append(f"{name} is {text!r}: it has to be a whole number, 0 or more")
    if value is None or value < 0:
        wrong.append(f"{COLUMNS[2]} is {texts[2]!r}: it has to be a number, 0 or more")
    return None, wrong


def _whole(text: str) -> int | None:
    """A count; R writes 100000 as 1e+05. Empty and NA are none."""
    if text.isascii() and text.isdecimal() and len(text) < 16:
        return int(text)
    text = text.strip()
    if text in {"", "NA"}:
        return 0
    scaled = micros(text)
    if scaled is None or scaled < 0 or scaled % 1_000_000:
        return None
    number = scaled // 1_000_000
    return number if number <= _MOST else None
