"""A file of funnels (TOML), checked as a whole with every problem at once.

```toml
[checkout]
within = "7d"                  # s, m, h, d; at most 366 d
by = "person"                  # or "session"

[[checkout.steps]]
event = ["view_item", "view_list"]

[[checkout.steps]]
event = "purchase"
where = { country = "DE", category = ["shoes", "hats"], price = { min = 10, max = 99.5 } }
```
"""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from typing import TYPE_CHECKING, Any

import msgspec

from trackstream.core.funnels import Filter, Funnel, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FunnelsError", "funnels_of_text", "version_of"]

_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MOST_DAYS = 366
_MOST_STEPS = 20
_MOST_VALUES = 100
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class FunnelsError(ValueError):
    """A file of funnels that cannot be used.

    Attributes:
        problems: one line for each, naming the key.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def funnels_of_text(text: str) -> dict[str, Funnel]:
    """The funnels by name, in the file's order.

    Raises:
        FunnelsError: with every problem of the file, or with the place where it is not TOML.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, too
        raise FunnelsError([f"not TOML: {error}"]) from error
    problems: list[str] = []
    made = {name: _funnel(name, value, problems) for name, value in table.items()}
    if problems:
        raise FunnelsError(problems)
    return {name: one for name, one in made.items() if one is not None}


def version_of(funnels: Mapping[str, Funnel]) -> str:
    """A name made from the content: the same funnels have the same everywhere."""
    content = msgspec.json.encode(dict(funnels), order="deterministic")
    return f"funnels-{hashlib.blake2b(content, digest_size=6).hexdigest()}"


def _funnel(name: str, table: Any, problems: list[str]) -> Funnel | None:
    if not _NAME.fullmatch(name):
        problems.append(f"{name}: a name takes letters, digits, _ and -, at most 64")
    if not isinstance(table, dict):
        problems.append(f"{name} takes a table")
        return None
    _unknown(table, {"by", "within", "steps"}, name, problems)
    by = table.get("by", "person")
    if by not in {"person", "session"}:
        problems.append(f"{name}.by takes person or session")
        by = "person"
    steps = table.get("steps")
    if not isinstance(steps, list) or not 2 <= len(steps) <= _MOST_STEPS:
        problems.append(f"{name}.steps takes from 2 to {_MOST_STEPS} tables")
        steps = []
    return Funnel(
        name=name,
        by=by,
        within_ms=_duration(f"{name}.within", table.get("within"), problems),
        steps=tuple(
            _step(f"{name}.steps[{number}]", one, problems) for number, one in enumerate(steps, 1)
        ),
    )


def _duration(path: str, value: Any, problems: list[str]) -> int:
    found = re.fullmatch(r"(\d{1,9})([smhd])", value) if isinstance(value, str) else None
    length = int(found[1]) * _UNITS_MS[found[2]] if found else 0
    if not 0 < length <= _MOST_DAYS * _UNITS_MS["d"]:
        problems.append(f'{path} takes a duration such as "30m" or "7d", at most {_MOST_DAYS}d')
    return length


def _step(path: str, table: Any, problems: list[str]) -> Step:
    if not isinstance(table, dict):
        problems.append(f"{path} takes a table")
        return Step(events=())
    _unknown(table, {"event", "where"}, path, problems)
    given = table.get("event")
    events: list[Any] = given if isinstance(given, list) else [given]
    if not events or not all(isinstance(one, str) and one for one in events):
        problems.append(f"{path}.event takes the name of an event, or a list of names")
        events = []
    where = table.get("where", {})
    if not isinstance(where, dict):
        problems.append(f"{path}.where takes a table of properties")
        where = {}
    filters = [_filter(f"{path}.where.{key}", key, value, problems) for key, value in where.items()]
    return Step(events=tuple(events), where=tuple(filters))


def _filter(path: str, name: str, value: Any, problems: list[str]) -> Filter:
    if isinstance(value, dict):
        _unknown(value, {"min", "max"}, path, problems)
        bounds = {key: value[key] for key in ("min", "max") if key in value}
        if not bounds or not all(_is_number(one) for one in bounds.values()):
            problems.append(f"{path} takes numbers as min, max or both")
            bounds = {}
        return Filter(name=name, **bounds)
    values = value if isinstance(value, list) else [value]
    if not 1 <= len(values) <= _MOST_VALUES or not all(
        isinstance(one, str | bool) or _is_number(one) for one in values
    ):
        problems.append(f"{path} takes text, a number, true, false, or a list of them")
        values = []
    return Filter(name=name, any_of=tuple(values))


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _unknown(table: Mapping[str, Any], known: set[str], path: str, problems: list[str]) -> None:
    problems += [f"{path}.{key} is not known" for key in table if key not in known]
