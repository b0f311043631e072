"""The TOML file in which an app's events are defined.

```toml
mode = "strict"          # or lenient, the default
standard = true          # whether the standard events are known, the default

[events.level_up]
description = "The player has reached a level"
closed = true            # has no other properties than these; default: may have any
[events.level_up.properties]
level = { type = "integer", required = true, min = 1, max = 100 }
hero = { type = "text", enum = ["elf", "orc"] }
```
"""

from __future__ import annotations

import tomllib
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from trackstream.core.definitions import TYPES, Definition, Definitions, Property
from trackstream.core.fields import MAX_MEMBERS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_EVENTS", "DefinitionsError", "definitions_of_text"]

MAX_EVENTS = 2_000

S = TypeVar("S", bound=msgspec.Struct)
_RANGED = frozenset({None, "text", "number", "integer", "list"})


class DefinitionsError(ValueError):
    """A file of definitions that cannot be used.

    Attributes:
        problems: one line for each, naming the key.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def definitions_of_text(text: str) -> Definitions:
    """What the text of a TOML file defines.

    Raises:
        DefinitionsError: with every problem of the file, or with the place where it is not TOML.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, too
        raise DefinitionsError([f"not TOML: {error}"]) from error
    problems: list[str] = []
    events = table.pop("events", {})
    made = _struct(table, Definitions, "", problems)
    defined: dict[str, Definition] = {}
    if not isinstance(events, dict):
        problems.append("events takes tables: [events.NAME]")
    elif len(events) > MAX_EVENTS:
        problems.append(f"there are more than {MAX_EVENTS} events")
    else:
        defined = {name: _event(name, one, problems) for name, one in events.items()}
    if problems:
        raise DefinitionsError(problems)
    return msgspec.structs.replace(made, events=defined)


def _event(name: str, table: Any, problems: list[str]) -> Definition:
    path = f"events.{name}"
    if not isinstance(table, dict):
        problems.append(f"{path} takes a table")
        return Definition()
    properties = table.get("properties", {})
    made = _struct(
        {key: one for key, one in table.items() if key != "properties"},
        Definition,
        f"{path}.",
        problems,
    )
    if not isinstance(properties, dict) or len(properties) > MAX_MEMBERS:
        problems.append(f"{path}.properties takes a table of at most {MAX_MEMBERS}")
        return made
    return msgspec.structs.replace(
        made,
        properties={
            key: _property(f"{path}.properties.{key}", one, problems)
            for key, one in properties.items()
        },
    )


def _property(path: str, table: Any, problems: list[str]) -> Property:
    if not isinstance(table, dict):
        problems.append(f'{path} takes a table such as {{ type = "text" }}')
        return Property()
    made = _struct(table, Property, f"{path}.", problems)
    if made.type is not None and made.type not in TYPES:
        problems.append(f"{path}.type takes one of {', '.join(TYPES)}")
    elif (made.min is not None or made.max is not None) and made.type not in _RANGED:
        problems.append(f"{path}: min and max are of numbers, texts and lists")
    if not all(isfinite(one) for one in (made.min, made.max) if one is not None):
        problems.append(f"{path}: min and max take finite numbers")
    if made.min is not None and made.max is not None and made.min > made.max:
        problems.append(f"{path}: min is above max")
    if made.enum is not None and not made.enum:
        problems.append(f"{path}.enum takes at least one value")
    return made


def _struct(table: Mapping[str, Any], struct: type[S], path: str, problems: list[str]) -> S:
    """The struct with the keys that are right; the others are problems."""
    types = {one.name: one.type for one in msgspec.structs.fields(struct)}
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in types:
            problems.append(f"{path}{key} is not known; there are {', '.join(types)}")
            continue
        try:
            found[key] = msgspec.convert(value, types[key])
        except msgspec.ValidationError as error:
            problems.append(f"{path}{key}: {error}")
    return struct(**found)
