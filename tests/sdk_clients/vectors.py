"""The files of `sdk_clients/conformance`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "sdk_clients" / "conformance"


def vectors(name: str, member: str = "cases") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = whole(name)[member]
    return found


def whole(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return document


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


def built(case: dict[str, Any]) -> Any:
    """The event of a case, with what it says to repeat."""
    event = json.loads(json.dumps(case["event"]))
    repeat = case.get("repeat")
    if repeat:
        *path, last = repeat["field"].split(".")
        inner = event
        for name in path:
            inner = inner.setdefault(name, {})
        inner[last] = repeat["text"] * repeat["times"]
    return event
