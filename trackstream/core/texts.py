"""Text and JSON from outside, made fit to be stored.

PostgreSQL text and jsonb hold neither U+0000 nor lone surrogates (PostgreSQL manual, "Character
Types" and "JSON Types"), and UTF-8 has no encoding for the latter (RFC 3629, section 3).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = ["clean", "cut", "has_controls", "json_text", "measure"]

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROLS = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_JSON = msgspec.json.Encoder()
_CONTAINERS = frozenset({dict, list})


def clean(text: str) -> str:
    """The text with U+FFFD in place of every NUL and lone surrogate."""
    if text.isascii():
        return text.replace("\0", "\ufffd")
    return text if text.isprintable() else _UNSTORABLE.sub("\ufffd", text)


def cut(text: str, most_bytes: int) -> str:
    """As much of the text as takes no more than so many bytes of UTF-8."""
    if len(text) * 4 <= most_bytes:
        return text
    data = text.encode()
    return text if len(data) <= most_bytes else data[:most_bytes].decode(errors="ignore")


def has_controls(text: str) -> bool:
    """Whether the text holds a control character or a lone surrogate, which no name or id has."""
    return not text.isprintable() and _CONTROLS.search(text) is not None


def measure(value: object, *, max_depth: int, max_members: int) -> tuple[int, int]:
    """Nesting depth of a JSON value and the number of members of all its objects and arrays.

    A scalar has depth 0. Counting stops as soon as a maximum is passed, so the cost is bounded.
    """
    depth = members = 0
    level: list[Any] = [value] if type(value) in _CONTAINERS else []
    while level and depth <= max_depth and members <= max_members:
        depth += 1
        below: list[Any] = []
        for one in level:
            members += len(one)
            inner = one.values() if type(one) is dict else one
            if not _CONTAINERS.isdisjoint(map(type, inner)):
                below += [child for child in inner if type(child) in _CONTAINERS]
        level = below
    return depth, members


def json_text(value: object) -> str:
    """The value as compact JSON text that PostgreSQL can hold as text and as jsonb.

    The value's depth has to be bounded already.
    """
    try:
        data = _JSON.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_cleaned(value)).decode()
    if b"\\u0000" in data:
        return msgspec.json.encode(_cleaned(value)).decode()
    return data.decode()


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): _cleaned(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    return value
