"""What a batch says of all its messages, or of nothing that anybody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackstream.core.reasons import Reason
from trackstream.http.problems import Refusal
from trackstream.http.rejections import original

if TYPE_CHECKING:
    from trackstream.http.steps import Parts

__all__ = ["shared_by", "unread_refusal", "with_shared"]

_SHARED = ("context", "integrations")
_NAMED = 3
_MAX_NAME_CHARS = 64


def unread_refusal(document: dict[str, Any], read: frozenset[str]) -> Refusal | None:
    """Why a batch is refused that has more than is read: a 2xx must not throw anything away."""
    odd = [name for name, value in document.items() if name not in read and not _is_empty(value)]
    if not odd:
        return None
    names = ", ".join(name[:_MAX_NAME_CHARS] for name in odd[:_NAMED])
    more = ", …" if len(odd) > _NAMED else ""
    known = ", ".join(sorted(read))
    return Refusal(
        Reason.INVALID_VALUE, f"a batch of this kind has {known}; nobody reads {names}{more}"
    )


def shared_by(document: dict[str, Any], parts: Parts) -> dict[str, dict[str, Any]] | Refusal:
    """What a Segment batch says of all its messages: `context` and `integrations`.

    All together the copies may be as large as an inflated body.
    """
    shared = {name: document[name] for name in _SHARED if not _is_empty(document.get(name))}
    for name, value in shared.items():
        if type(value) is not dict:
            return Refusal(Reason.WRONG_TYPE, f"{name} has to be an object")
    messages = document.get("batch")
    if shared and isinstance(messages, list):
        most = parts.settings.max_inflated_bytes
        if len(original(shared)) * len(messages) > most:
            detail = f"what all messages share comes to more than {most} bytes"
            return Refusal(Reason.TOO_LARGE, detail)
    return shared


def with_shared(message: object, shared: dict[str, dict[str, Any]]) -> object:
    """The message with what its batch says of all.

    Member by member, and what the message says itself goes first: each member (`campaign`,
    `device`, …) is one statement, so members are not mixed.
    """
    if not shared or not isinstance(message, dict):
        return message
    merged = dict(message)
    for name, common in shared.items():
        own = message.get(name)
        if _is_empty(own):
            merged[name] = common
        elif type(own) is dict:
            absent = {one: value for one, value in common.items() if _is_empty(own.get(one))}
            merged[name] = {**own, **absent}
    return merged


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})
