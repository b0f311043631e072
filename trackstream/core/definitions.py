"""Which events an app knows, and what their properties have to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from trackstream.core.contexts import noted
from trackstream.core.fields import Problem
from trackstream.core.reasons import Reason
from trackstream.core.standard_events import STANDARD_EVENTS
from trackstream.core.texts import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackstream.core.records import RawEvent

__all__ = ["TYPES", "Definition", "Definitions", "Mode", "Property", "judge", "marked"]

Mode = Literal["strict", "lenient"]

TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
}
"""What a declared type takes of parsed JSON; true and false are no numbers, and 5.0 is whole."""


class Property(msgspec.Struct, frozen=True, kw_only=True):
    """What a property has to be. `min` and `max` are of a number, or of a text's or list's length.

    `enum` holds all values that it may have. None: not asked.
    """

    type: str | None = None
    required: bool = False
    enum: tuple[str | int | float | bool, ...] | None = None
    min: float | None = None
    max: float | None = None


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """One event. If `closed`, it has no other properties than these."""

    description: str = ""
    closed: bool = False
    properties: dict[str, Property] = {}


class Definitions(msgspec.Struct, frozen=True, kw_only=True):
    """An app's events. In `strict` mode what is not as defined is refused, else it is marked."""

    mode: Mode = "lenient"
    standard: bool = True
    """Whether the standard events are known without being defined."""
    events: dict[str, Definition] = {}


def judge(definitions: Definitions, name: str, properties: object) -> tuple[Problem, ...]:
    """Everything in which an event of this name differs from its definition.

    Args:
        definitions: the app's.
        name: the event's, in our words.
        properties: as parsed JSON; what is no object is taken for none, for validation's to judge.
    """
    defined = definitions.events.get(name)
    if defined is None:
        if definitions.standard and name in STANDARD_EVENTS:
            return ()
        return (Problem(Reason.UNKNOWN_EVENT, "event", "is no event that is defined"),)
    values = properties if isinstance(properties, dict) else {}
    found = [
        Problem(Reason.INVALID_PROPERTY, f"properties.{key}", detail)
        for key, one in defined.properties.items()
        if (detail := _wrong(one, values.get(key)))
    ]
    if defined.closed:
        found += [
            Problem(Reason.INVALID_PROPERTY, _path(key), "is not defined")
            for key in _others(values, defined.properties)
        ]
    return tuple(found)


def marked(event: RawEvent, problems: tuple[Problem, ...]) -> RawEvent:
    """The event with these problems kept in its context's `extra`: `$definition`, by field."""
    context = noted(event.context, "$definition", {one.field: str(one.reason) for one in problems})
    return msgspec.structs.replace(event, context=context)


def _path(key: str) -> str:
    """Where a property of the sender's own naming is."""
    return clean(f"properties.{key}"[:_MAX_PATH_CHARS])


def _others(values: dict[str, Any], known: Mapping[str, Property]) -> list[str]:
    return [key for key in values if key not in known][:_SHOWN]


_MAX_PATH_CHARS = 256
_SHOWN = 20
"""A sender of thousands of unknown properties is told of some."""


def _wrong(wanted: Property, value: Any) -> str:
    """What is wrong with the value; empty if nothing is. Null is as good as absent."""
    if value is None:
        return "is missing" if wanted.required else ""
    if wanted.type is not None:
        types = TYPES[wanted.type]
        flag = isinstance(value, bool) and bool not in types
        part = wanted.type == "integer" and isinstance(value, float) and not value.is_integer()
        if not isinstance(value, types) or flag or part:
            return f"has to be of type {wanted.type}"
    if wanted.enum is not None and not any(_same(value, one) for one in wanted.enum):
        return f"has to be one of {', '.join(map(str, wanted.enum))}"
    return _outside(wanted, value)


def _same(value: Any, other: object) -> bool:
    """Equal, and true is not 1."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _outside(wanted: Property, value: Any) -> str:
    if wanted.min is None and wanted.max is None:
        return ""
    size: float
    if isinstance(value, str | list):
        size, what = len(value), "has to have a length of"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        size, what = value, "has to be"
    else:
        return "has to be a number, text or list, since it has a range"
    if wanted.min is not None and size < wanted.min:
        return f"{what} at least {wanted.min:g}"
    if wanted.max is not None and size > wanted.max:
        return f"{what} at most {wanted.max:g}"
    return ""
