"""What is said of one route of the collector, and what several routes have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trackstream.core.reasons import Reason

__all__ = [
    "BATCH",
    "BUSY",
    "CALLER",
    "EVENT",
    "JSON",
    "LINK",
    "READ",
    "SENDERS",
    "SIGNED",
    "Route",
    "Schema",
    "operation",
]

Schema = dict[str, Any]

BUSY = {Reason.FORBIDDEN, Reason.RATE_LIMITED, Reason.UNAVAILABLE, Reason.INTERNAL}
CALLER = {
    Reason.UNAUTHENTICATED,
    Reason.BAD_SIGNATURE,
    Reason.EXPIRED_SIGNATURE,
    Reason.REPLAYED,
    Reason.UNKNOWN_APP,
}
READ = {Reason.TOO_LARGE, Reason.MALFORMED_BODY}
JSON = {*READ, Reason.INVALID_ENCODING, Reason.TOO_DEEP, Reason.WRONG_TYPE}
FIELDS = {
    Reason.MISSING_FIELD,
    Reason.INVALID_VALUE,
    Reason.NO_IDENTIFIER,
    Reason.UNKNOWN_EVENT,
    Reason.INVALID_PROPERTY,
    Reason.TIMESTAMP_IN_FUTURE,
    Reason.TIMESTAMP_OUT_OF_RANGE,
}
EVENT = {*BUSY, *CALLER, *JSON, *FIELDS, Reason.UNSUPPORTED_MEDIA_TYPE}
BATCH = {*EVENT, Reason.EMPTY_BATCH, Reason.TOO_MANY_EVENTS}
LINK = {*BUSY, Reason.UNKNOWN_LINK, Reason.EXPIRED_LINK}

SIGNED: dict[str, list[str]] = {"signature": [], "signatureKey": [], "signatureTimestamp": []}
SENDERS: list[dict[str, list[str]]] = [
    SIGNED,
    {"writeKey": []},
    {"writeKeyInQuery": []},
    {"writeKeyAsUser": []},
]
_HEADERS = (
    (
        "Idempotency-Key",
        {"type": "string", "maxLength": 200},
        "The id of events that have none: what is sent again with the same counts once.",
    ),
    (
        "Content-Encoding",
        {"enum": ["gzip", "x-gzip", "deflate", "identity"]},
        "How the body is compressed.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Route:
    """One operation.

    Attributes:
        method: in lower case.
        path: with its parameters in braces.
        name: its `operationId`.
        summary: what it does, in a line.
        tag: its chapter.
        answers: by status.
        body: the schema of what it takes; None: nothing.
        query: names of query parameters, whether they are required, and what they are.
        security: ways to say who sends; empty: whoever asks.
        media_types: of the body.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    answers: dict[str, Any]
    body: Schema | None = None
    query: tuple[tuple[str, bool, str], ...] = ()
    security: list[dict[str, list[str]]] = field(default_factory=list)
    media_types: tuple[str, ...] = ("application/json", "text/plain")


def operation(one: Route) -> dict[str, Any]:
    """What stands under its method in `paths`."""
    found: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "tags": [one.tag],
        "security": one.security,
        "responses": one.answers,
    }
    parameters = [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
        for part in one.path.split("/")
        if part.startswith("{")
    ]
    parameters += [
        {
            "name": name,
            "in": "query",
            "required": required,
            "schema": {"type": "string"},
            "description": what,
        }
        for name, required, what in one.query
    ]
    if one.body is not None:
        content = {media_type: {"schema": one.body} for media_type in one.media_types}
        found["requestBody"] = {"required": True, "content": content}
        if one.security:
            parameters += [
                {"name": name, "in": "header", "schema": schema, "description": what}
                for name, schema, what in _HEADERS
            ]
    if parameters:
        found["parameters"] = parameters
    return found
