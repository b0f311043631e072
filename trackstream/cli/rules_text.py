"""Rules as the TOML file that states them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from trackstream.core.rules_file import UNSET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackstream.core.rules import Rules

__all__ = ["changes", "toml_of", "values_of"]

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


def values_of(rules: Rules) -> dict[str, str]:
    """Every rule's value, as it is written in the file, by its key (`fraud.actions.bot`)."""
    found: dict[str, str] = {}
    fraud = msgspec.structs.asdict(rules.fraud)
    lists = fraud.pop("blocklists")
    actions = fraud.pop("actions")
    for name, value in msgspec.structs.asdict(rules).items():
        if name not in UNSET:
            found.update(_written(name, value))
    for name, value in fraud.items():
        found.update(_written(name, value, "fraud."))
    for name, value in actions.items():
        found.update(_written(name, value, "fraud.actions."))
    for name, value in msgspec.structs.asdict(lists).items():
        found.update(_written(name, value, "fraud.blocklists."))
    return found


def changes(rules: Rules, base: Rules) -> list[tuple[str, str, str]]:
    """(key, value, what it is in `base`) of every rule that differs."""
    others = values_of(base)
    return [
        (key, value, others.get(key, ""))
        for key, value in values_of(rules).items()
        if value != others.get(key)
    ]


def toml_of(rules: Rules) -> str:
    """A file that states every rule, over whatever defaults."""
    tables: dict[str, list[str]] = {"": []}
    for key, value in values_of(rules).items():
        table, _, name = key.rpartition(".")
        tables.setdefault(table, []).append(f"{name} = {value}")
    parts = [
        "\n".join([f"[{table}]", *lines] if table else lines) for table, lines in tables.items()
    ]
    return "\n\n".join(parts) + "\n"


def _written(name: str, value: Any, path: str = "") -> dict[str, str]:
    if name.endswith("_ms"):
        return {path + name.removesuffix("_ms"): _duration(value)}
    return {path + name: _value(value)}


def _duration(length_ms: int) -> str:
    unit, unit_ms = next(one for one in _UNITS if length_ms % one[1] == 0)
    return f'"{length_ms // unit_ms}{unit}"'


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return _inline(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # JSON's text, numbers and booleans are TOML's, but for DEL in a text.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _inline(table: Mapping[str, Any]) -> str:
    pairs = [f"{_value(str(key))} = {_value(value)}" for key, value in table.items()]
    return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
