"""What a spool file keeps, and what is made of rows that are not as they were written.

A damaged page can read well and say anything: SQLite gives each value the type that it finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trackstream.storage.topics import TOPICS

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "COUNT",
    "MOST_KEY_BYTES",
    "OVERHEAD_BYTES",
    "ROWS",
    "Message",
    "Stored",
    "decoding",
    "size_bytes",
    "stored",
]

Message = tuple[str, bytes, bytes]
"""Topic without its prefix, key, value."""

ROWS = "SELECT position, CAST(at_ms AS INTEGER), topic, key, value FROM messages"
"""What `stored` takes."""

COUNT = (
    "SELECT count(*), coalesce(sum(coalesce(length(CAST(topic AS BLOB)), 0)"
    " + coalesce(length(CAST(key AS BLOB)), 0) + coalesce(length(CAST(value AS BLOB)), 0)"
    " + ?), 0), min(CAST(at_ms AS INTEGER)) FROM messages"
)
"""How many there are, what they count against the bound, and when the oldest came; takes
`OVERHEAD_BYTES`."""

OVERHEAD_BYTES = 64
"""Of a row, roughly, beside its texts."""
_NAME_CHARS = 64
MOST_KEY_BYTES = 2_048
"""What is kept of the topic and the key of a row that is not sound."""
_KNOWN = frozenset(TOPICS)


class Stored(NamedTuple):
    """A message in a spool."""

    position: int
    at_ms: int
    topic: str
    key: bytes
    value: bytes
    is_sound: bool = True
    """Whether it can be what was written: bytes for a topic that there is."""


def decoding(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The connection, which now reads any text, with U+FFFD where it is not UTF-8."""
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    return connection


def stored(row: tuple[Any, ...]) -> Stored:
    """A row of `ROWS`, whatever is in it."""
    position, at_ms, topic, key, value = row
    is_sound = (
        isinstance(topic, str)
        and topic in _KNOWN
        and isinstance(key, bytes)
        and isinstance(value, bytes)
    )
    if is_sound:
        return Stored(position, at_ms, topic, key, value)
    name = _bytes(topic).decode("utf-8", "replace")[:_NAME_CHARS]
    return Stored(
        position, at_ms or 0, name, _bytes(key)[:MOST_KEY_BYTES], _bytes(value), is_sound=False
    )


def size_bytes(messages: list[Message]) -> int:
    """What messages count against the bound."""
    return sum(
        len(topic) + len(key) + len(value) + OVERHEAD_BYTES for topic, key, value in messages
    )


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode()
