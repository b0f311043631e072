"""JSON as PostgreSQL's jsonb takes it."""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = ["as_json", "given", "json_text"]


def given(record: msgspec.Struct) -> dict[str, Any]:
    """The fields of a record that are not null."""
    pairs = ((name, getattr(record, name)) for name in record.__struct_fields__)
    return {name: value for name, value in pairs if value is not None}


_encode = msgspec.json.Encoder().encode


def as_json(value: Any) -> str:
    """A value as JSON for a column."""
    return json_text(_encode(value).decode())


# A backslash that is escaped, a NUL, a surrogate pair, or half of one.
_ESCAPE = re.compile(
    r"\\\\|\\u0000|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def json_text(text: str) -> str:
    r"""JSON without what PostgreSQL's jsonb refuses: `\u0000` and halves of surrogate pairs."""
    return _ESCAPE.sub(_kept, text) if "\\u" in text else text


def _kept(found: re.Match[str]) -> str:
    escape = found.group()
    return "\ufffd" if len(escape) == 6 else escape
