"""What is said of each event of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackstream.core.texts import clean
from trackstream.core.validation import ParsedEvent
from trackstream.http.problems import as_json

if TYPE_CHECKING:
    from trackstream.core.fields import Problem

__all__ = ["sentence", "verdict"]

_MAX_ID_CHARS = 256


def verdict(
    index: int,
    result: ParsedEvent | tuple[Problem, ...],
    value: object,
    *,
    id_name: str = "event_id",
) -> dict[str, Any]:
    """The verdict on the event at this index.

    Args:
        index: where in its batch it stands.
        result: what validation made of it.
        value: the event as it was sent.
        id_name: the member of `value` that is the event's id.
    """
    if isinstance(result, ParsedEvent):
        return {"index": index, "event_id": result.event.event_id, "status": "accepted"}
    claimed = value.get(id_name) if isinstance(value, dict) else None
    return {
        "index": index,
        "event_id": clean(claimed[:_MAX_ID_CHARS]) if isinstance(claimed, str) else None,
        "status": "rejected",
        "reasons": list(dict.fromkeys(one.reason for one in result)),
        "errors": as_json(result),
    }


def sentence(problems: tuple[Problem, ...]) -> str:
    """All problems of an event in one line."""
    return "; ".join(f"{one.field} {one.detail}".strip() for one in problems)
