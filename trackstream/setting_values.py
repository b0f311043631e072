"""How a setting is declared, and how its text becomes its value.

A parser takes the text as it stands in the environment; its ValueError says what it takes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from trackstream.core.addresses import network_of
from trackstream.core.identifiers import is_app_id

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "app_id",
    "choice",
    "flag",
    "networks",
    "path",
    "secret",
    "setting",
    "text",
    "url",
    "whole",
]


def setting(parse: Callable[[str], Any], doc: str, default: Any = None) -> Any:
    """A setting: a field of a dataclass, with its parser and what it is."""
    return field(default=default, metadata={"parse": parse, "doc": doc})


def text(value: str) -> str:
    """Any text."""
    return value


def secret(value: str) -> str:
    """Text that is never shown."""
    return value


def app_id(value: str) -> str:
    """An app's id, whether there is such an app or not."""
    if not is_app_id(value):
        raise ValueError("takes 1 to 64 letters, digits, dots, dashes and underscores")
    return value


def path(value: str) -> Path:
    """A file or a directory; `~` is the home directory."""
    return Path(value).expanduser()


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number within bounds, both included."""

    def parse(value: str) -> int:
        with suppress(ValueError):
            number = int(value)
            if low <= number <= high:
                return number
        raise ValueError(f"takes a whole number from {low} to {high}")

    parse.__name__ = f"a whole number from {low} to {high}"
    return parse


def flag(value: str) -> bool:
    """Yes or no."""
    if value.lower() in {"1", "true", "yes", "on"}:
        return True
    if value.lower() in {"0", "false", "no", "off"}:
        return False
    raise ValueError("takes true or false")


def url(*schemes: str) -> Callable[[str], str]:
    """A URL with one of these schemes."""

    def parse(value: str) -> str:
        if urlsplit(value).scheme not in schemes or not urlsplit(value).netloc:
            raise ValueError(
                f"takes a URL that begins with {' or '.join(s + '://' for s in schemes)}"
            )
        return value

    parse.__name__ = "a URL"
    return parse


def networks(value: str) -> str:
    """Addresses and networks (CIDR), separated by commas; none if empty."""
    parts = [part.strip() for part in value.split(",") if part.strip()]
    for part in parts:
        try:
            network_of(part)
        except ValueError as error:
            raise ValueError(f"takes networks as 10.0.0.0/8,2001:db8::/32: {error}") from error
    return ",".join(parts)


networks.__name__ = "networks (CIDR)"


def choice(*words: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(value: str) -> str:
        if value not in words:
            raise ValueError(f"takes one of {', '.join(words)}")
        return value

    parse.__name__ = "one of " + ", ".join(words)
    return parse
