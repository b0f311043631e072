"""Reading a JSON object from outside field by field, gathering every problem on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trackstream.core.reasons import Reason
from trackstream.core.texts import clean, has_controls, json_text, measure
from trackstream.core.timestamps import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["MAX_DEPTH", "MAX_JSON_CHARS", "MAX_MEMBERS", "Fields", "Problem"]

MAX_DEPTH = 32
"""Nesting of `properties` and of what is kept of `context`."""
MAX_MEMBERS = 2_000
"""Members of all objects and arrays within one of them."""
MAX_JSON_CHARS = 65_536
"""Length of one of them as JSON text."""


class Problem(msgspec.Struct, frozen=True):
    """Something wrong with one field. `field` is a dotted path within the event."""

    reason: Reason
    field: str
    detail: str


class Fields:
    """One JSON object and where problems with it go.

    Every reader returns None for an absent field and for null, and None after a problem.

    Args:
        values: the object.
        problems: the list that grows by every problem found.
        path: what problems put before a field's name, such as `context.`.
    """

    __slots__ = ("_path", "_problems", "_values")

    def __init__(self, values: dict[str, Any], problems: list[Problem], path: str = "") -> None:
        self._values = values
        self._problems = problems
        self._path = path

    def problem(self, reason: Reason, name: str, detail: str) -> None:
        """Note a problem with the field of this name."""
        self._problems.append(Problem(reason, self._path + name, detail))

    def raw(self, name: str) -> Any:
        """The field as it is."""
        return self._values.get(name)

    def text(self, name: str, max_chars: int = 512) -> str | None:
        """Free text, cleaned; None when empty."""
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if type(value) is not str:
            self.problem(Reason.WRONG_TYPE, name, "has to be text")
            return None
        if len(value) > max_chars:
            self.problem(Reason.INVALID_VALUE, name, f"is longer than {max_chars} characters")
            return None
        return clean(value)

    def identifier(self, name: str, max_chars: int = 256) -> str | None:
        """A name or id: text without control characters, spaces around it removed."""
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if type(value) is not str:
            self.problem(Reason.WRONG_TYPE, name, "has to be text")
            return None
        if len(value) > max_chars:
            self.problem(Reason.INVALID_VALUE, name, f"is longer than {max_chars} characters")
            return None
        if has_controls(value):
            self.problem(Reason.INVALID_VALUE, name, "holds control characters")
            return None
        return value.strip() or None

    def whole(self, name: str, high: int) -> int | None:
        """A number from 0 to `high`, rounded: browsers report fractions of a pixel."""
        value = self._values.get(name)
        if value is None:
            return None
        if type(value) is not int and type(value) is not float:
            self.problem(Reason.WRONG_TYPE, name, "has to be a number")
            return None
        if not 0 <= value <= high:
            self.problem(Reason.INVALID_VALUE, name, f"has to be from 0 to {high}")
            return None
        return round(value)

    def timestamp_ms(self, name: str) -> int | None:
        """A timestamp in any of the accepted forms, as epoch milliseconds."""
        value = self._values.get(name)
        if value is None:
            return None
        at_ms = parse_timestamp(value)
        if isinstance(at_ms, Reason):
            self.problem(
                at_ms,
                name,
                "has to be RFC 3339 with its offset, such as 2025-07-10T12:00:00Z, or a number of "
                "seconds or milliseconds since 1970",
            )
            return None
        return at_ms

    def object(self, name: str) -> Fields | None:
        """An object within this one."""
        value = self._values.get(name)
        if value is None:
            return None
        if type(value) is not dict:
            self.problem(Reason.WRONG_TYPE, name, "has to be an object")
            return None
        return Fields(value, self._problems, f"{self._path}{name}.")

    def flags(self, name: str, max_entries: int = 64) -> dict[str, bool]:
        """An object of true and false by name; empty when absent."""
        value = self._values.get(name)
        if value is None:
            return {}
        if type(value) is not dict or any(type(one) is not bool for one in value.values()):
            self.problem(Reason.WRONG_TYPE, name, "has to be an object of true and false by name")
            return {}
        if len(value) > max_entries or any(len(key) > 64 for key in value):
            self.problem(
                Reason.INVALID_VALUE, name, f"has more than {max_entries} entries or long names"
            )
            return {}
        return {clean(key): one for key, one in value.items()}

    def rest(self, known: AbstractSet[str]) -> dict[str, Any]:
        """The fields whose names are not `known`."""
        if self._values.keys() <= known:
            return {}
        return {key: value for key, value in self._values.items() if key not in known}

    def json(self, name: str, value: dict[str, Any]) -> str:
        """The object as JSON text within the limits above, else `{}` and a problem of `name`."""
        if not value:
            return "{}"
        depth, members = measure(value, max_depth=MAX_DEPTH, max_members=MAX_MEMBERS)
        if depth > MAX_DEPTH:
            self.problem(Reason.TOO_DEEP, name, f"is nested more than {MAX_DEPTH} deep")
        elif members > MAX_MEMBERS:
            self.problem(Reason.TOO_LARGE, name, f"has more than {MAX_MEMBERS} members")
        else:
            text = json_text(value)
            if len(text) <= MAX_JSON_CHARS:
                return text
            self.problem(Reason.TOO_LARGE, name, f"is longer than {MAX_JSON_CHARS} characters")
        return "{}"
