"""What the collector answers: schemas of bodies, and refusals by the status of their reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trackstream.core.fields import Problem
from trackstream.core.reasons import HTTP_STATUS, Reason
from trackstream.core.segment import TYPES
from trackstream.core.signing import KEY_HEADER, NONCE_HEADER, TIMESTAMP_HEADER
from trackstream.http.authentication import WRITE_KEY_HEADER
from trackstream.http.openapi.events import TIMESTAMP, event_schema, segment_schema
from trackstream.storage.explain import Explanation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["SCHEMAS", "SECURITY", "json_answer", "ref", "refusals", "segment_status"]

Schema = dict[str, Any]

_REF = "#/components/schemas/{name}"


def ref(name: str) -> Schema:
    """A reference to one of the schemas below."""
    return {"$ref": _REF.format(name=name)}


def json_answer(
    description: str, schema: Schema, media_type: str = "application/json"
) -> dict[str, Any]:
    """An answer with a body."""
    return {"description": description, "content": {media_type: {"schema": schema}}}


def segment_status(reason: Reason) -> int:
    """The status of a refusal of Segment's calls: what is malformed is a 400."""
    return 400 if HTTP_STATUS[reason] == 422 else HTTP_STATUS[reason]


def refusals(
    reasons: Iterable[Reason],
    *,
    status_of: Callable[[Reason], int] = HTTP_STATUS.__getitem__,
    document: str = "Refusal",
) -> dict[str, Any]:
    """The answers that refuse, by status, each with the reasons that it may have.

    Args:
        reasons: those of the route.
        status_of: their statuses.
        document: the schema of their documents.
    """
    by_status: dict[int, list[Reason]] = {}
    for reason in sorted(set(reasons)):
        by_status.setdefault(status_of(reason), []).append(reason)
    found: dict[str, Any] = {}
    for status, those in sorted(by_status.items()):
        schema: Schema = {
            "allOf": [ref(document), {"properties": {"reason": {"enum": [str(r) for r in those]}}}]
        }
        answer = json_answer(f"Refused: {', '.join(those)}.", schema, "application/problem+json")
        if status in {429, 503}:
            answer["headers"] = {"Retry-After": _header("Seconds after which to come back.")}
        elif status == 401:
            answer["headers"] = {"WWW-Authenticate": _header("How to sign.")}
        found[str(status)] = answer
    return found


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _object(
    properties: dict[str, Any], *, optional: tuple[str, ...] = (), description: str = ""
) -> Schema:
    found: Schema = {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }
    return {**found, "description": description} if description else found


def _schemas() -> dict[str, Schema]:
    _, found = msgspec.json.schema_components([Problem, Explanation], ref_template=_REF)
    text, count = {"type": "string"}, {"type": "integer", "minimum": 0}
    found["FieldProblem"] = found.pop("Problem")
    problems = {"type": "array", "items": ref("FieldProblem")}
    refusal = {
        "type": text,
        "title": text,
        "status": {"type": "integer"},
        "detail": text,
        "reason": ref("Reason"),
        "errors": problems,
    }
    verdict = {
        "index": count,
        "event_id": {"type": ["string", "null"]},
        "status": {"enum": ["accepted", "rejected"]},
        "reasons": {"type": "array", "items": ref("Reason")},
        "errors": problems,
    }
    verdicts = {
        "accepted": count,
        "rejected": count,
        "events": {"type": "array", "items": ref("Verdict")},
    }
    accepted = {"event_id": text, "status": {"const": "accepted"}}
    found |= {
        "Timestamp": TIMESTAMP,
        "Event": event_schema(),
        "Install": event_schema(named=False),
        "Batch": _object(
            {
                "events": {"type": "array", "minItems": 1, "items": ref("Event")},
                "sent_at": ref("Timestamp"),
                "app_id": {"type": ["string", "null"]},
            },
            optional=("sent_at", "app_id"),
            description="Events are judged one by one.",
        ),
        "SegmentBatch": _object(
            {
                "batch": {"type": "array", "minItems": 1, "items": ref("SegmentMessage")},
                "sentAt": ref("Timestamp"),
                "writeKey": {"type": ["string", "null"]},
                "context": {"type": "object"},
                "integrations": {"type": "object"},
            },
            optional=("sentAt", "writeKey", "context", "integrations"),
            description="What `context` and `integrations` say is said of every message.",
        ),
        "SegmentMessage": segment_schema(None),
        "Refusal": _object(refusal, description="A problem document (RFC 9457)."),
        "Verdict": _object(verdict, optional=("reasons", "errors")),
        "EventAccepted": _object(accepted),
        "InstallAccepted": _object({**accepted, "deep_link": {"type": ["string", "null"]}}),
        "BatchVerdicts": _object(verdicts),
        "SegmentDone": _object(
            {"success": {"type": "boolean"}, **verdicts}, optional=tuple(verdicts)
        ),
        "SegmentRefusal": _object(
            {
                **refusal,
                "success": {"const": False},
                "code": ref("Reason"),
                "message": text,
                **verdicts,
            },
            optional=tuple(verdicts),
        ),
        "LibraryMetrics": _object(
            {
                "series": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"metric": text, "value": {"type": "number"}},
                    },
                }
            }
        ),
        "LibrarySettings": {"type": "object", "required": ["integrations", "plan"]},
        "Health": _object(
            {"status": text, "missing": {"type": "array", "items": text}}, optional=("missing",)
        ),
        "RegistryError": _object({"error_code": {"type": "integer"}, "message": text}),
    }
    for kind in TYPES:
        found[f"Segment{kind.capitalize()}"] = segment_schema(kind)
    return dict(sorted(found.items()))


SCHEMAS = _schemas()
"""`components.schemas`."""


def _in_header(name: str, description: str) -> dict[str, str]:
    return {"type": "apiKey", "in": "header", "name": name, "description": description}


SECURITY: dict[str, dict[str, str]] = {
    "signature": _in_header(
        "Authorization",
        "`HMAC <hex>`: HMAC-SHA256 under a server key's secret over timestamp `.` nonce `.` "
        f"METHOD `.` path and query `.` body. The nonce ({NONCE_HEADER}) may be empty. For one "
        "use, within 300 s. A server that speaks for its users states their addresses and user "
        "agents in each event: `context.ip`, `context.user_agent`.",
    ),
    "signatureKey": _in_header(KEY_HEADER, "The id of the server key that signs."),
    "signatureTimestamp": _in_header(TIMESTAMP_HEADER, "Epoch seconds."),
    "writeKey": _in_header(WRITE_KEY_HEADER, "A write key, for browsers and apps."),
    "writeKeyInQuery": {
        "type": "apiKey",
        "in": "query",
        "name": "write_key",
        "description": "A write key, for beacons.",
    },
    "writeKeyAsUser": {
        "type": "http",
        "scheme": "basic",
        "description": "A write key as the user, no password: as Segment's libraries do.",
    },
    "operator": {
        "type": "http",
        "scheme": "basic",
        "description": "The id and secret of a server key with the scope `read` or `admin`, "
        "unless the collector listens on loopback only or shows its metrics to everybody.",
    },
}
"""`components.securitySchemes`."""
