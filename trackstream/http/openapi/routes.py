"""Every route of the collector: what it takes and all that it may answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from trackstream.core.reasons import Reason
from trackstream.core.segment import TYPES
from trackstream.http.openapi.answers import json_answer, ref, refusals, segment_status

__all__ = ["ROUTES", "Route", "paths"]

Schema = dict[str, Any]

_BUSY = {Reason.FORBIDDEN, Reason.RATE_LIMITED, Reason.UNAVAILABLE, Reason.INTERNAL}
_CALLER = {
    Reason.UNAUTHENTICATED,
    Reason.BAD_SIGNATURE,
    Reason.EXPIRED_SIGNATURE,
    Reason.REPLAYED,
    Reason.UNKNOWN_APP,
}
_READ = {Reason.TOO_LARGE, Reason.MALFORMED_BODY}
_JSON = {*_READ, Reason.INVALID_ENCODING, Reason.TOO_DEEP, Reason.WRONG_TYPE}
_FIELDS = {
    Reason.MISSING_FIELD,
    Reason.INVALID_VALUE,
    Reason.NO_IDENTIFIER,
    Reason.UNKNOWN_EVENT,
    Reason.INVALID_PROPERTY,
    Reason.TIMESTAMP_IN_FUTURE,
    Reason.TIMESTAMP_OUT_OF_RANGE,
}
_EVENT = {*_BUSY, *_CALLER, *_JSON, *_FIELDS, Reason.UNSUPPORTED_MEDIA_TYPE}
_BATCH = {*_EVENT, Reason.EMPTY_BATCH, Reason.TOO_MANY_EVENTS}
_LINK = {*_BUSY, Reason.UNKNOWN_LINK, Reason.EXPIRED_LINK}

_SIGNED: dict[str, list[str]] = {"signature": [], "signatureKey": [], "signatureTimestamp": []}
_SENDERS: list[dict[str, list[str]]] = [
    _SIGNED,
    {"writeKey": []},
    {"writeKeyInQuery": []},
    {"writeKeyAsUser": []},
]
_REGISTRY = "application/vnd.schemaregistry.v1+json"
_HEADERS = (
    ("Idempotency-Key", {"type": "string", "maxLength": 200}, "The id of events that have none."),
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


def paths() -> dict[str, dict[str, Any]]:
    """`paths` of the document."""
    found: dict[str, dict[str, Any]] = {}
    for one in ROUTES:
        found.setdefault(one.path, {})[one.method] = _operation(one)
    return found


def _operation(one: Route) -> dict[str, Any]:
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


def _ours() -> list[Route]:
    both = {"anyOf": [ref("Batch"), ref("SegmentBatch")]}
    segments = refusals(_BATCH, status_of=segment_status, document="SegmentRefusal")
    ours = refusals(_BATCH)
    for status, answer in segments.items():
        mine = ours.setdefault(status, answer)
        if mine is not answer:
            theirs = answer["content"]["application/problem+json"]["schema"]
            content = mine["content"]["application/problem+json"]
            content["schema"] = {"anyOf": [content["schema"], theirs]}
    return [
        Route(
            method="post",
            path=f"/v1/{name}",
            name=name,
            summary=summary,
            tag="events",
            body=ref(name.capitalize()),
            security=_SENDERS,
            answers={
                "201": json_answer("It is taken.", ref(f"{name.capitalize()}Accepted")),
                **refusals(_EVENT),
            },
        )
        for name, summary in (
            ("event", "Send one event."),
            ("install", "Tell of an install, and learn where its click wanted to lead."),
        )
    ] + [
        Route(
            method="post",
            path="/v1/batch",
            name="batch",
            summary="Send several events: ours in `events`, Segment's in `batch`.",
            tag="events",
            body=both,
            security=[*_SENDERS, {}],
            answers={
                "200": json_answer("Segment's batch: all or some are taken.", ref("SegmentDone")),
                "201": json_answer("All are taken.", ref("BatchVerdicts")),
                "207": json_answer("Some are not taken.", ref("BatchVerdicts")),
                **ours,
            },
        )
    ]


def _segments() -> list[Route]:
    done = json_answer("It is taken; or some of a batch are, with verdicts.", ref("SegmentDone"))
    calls = [(f"/v1/{kind}", kind, f"Segment{kind.capitalize()}", _EVENT) for kind in TYPES]
    calls += [
        (f"/v1/{kind[0]}", f"{kind}Short", f"Segment{kind.capitalize()}", _EVENT) for kind in TYPES
    ]
    calls += [
        ("/v1/b", "segmentBatch", "SegmentBatch", _BATCH),
        ("/v1/import", "segmentImport", "SegmentBatch", _BATCH),
    ]
    found = [
        Route(
            method="post",
            path=path,
            name=name,
            summary=f"Segment's {name.removesuffix('Short')} call.",
            tag="segment",
            body=ref(schema),
            # The key may be in the body, which only a reader of it can see.
            security=[*_SENDERS, {}],
            answers={
                "200": done,
                **refusals(reasons, status_of=segment_status, document="SegmentRefusal"),
            },
        )
        for path, name, schema, reasons in calls
    ]
    busy = refusals({*_BUSY, *_JSON})
    origin = refusals({*_BUSY, Reason.UNAUTHENTICATED}, unrouted=True)
    return [
        *found,
        Route(
            method="post",
            path="/v1/m",
            name="libraryMetrics",
            summary="What Segment's browser library counts of its own calls.",
            tag="segment",
            body=ref("LibraryMetrics"),
            answers={"200": json_answer("It is counted.", ref("SegmentDone")), **busy},
        ),
        Route(
            method="get",
            path="/v1/projects/{write_key}/settings",
            name="librarySettings",
            summary="The settings of Segment's browser library.",
            tag="segment",
            answers={"200": json_answer("The settings.", ref("LibrarySettings")), **origin},
        ),
    ]


def _touches() -> list[Route]:
    redirect = {
        "description": "To where the link leads.",
        "headers": {
            "Location": {"schema": {"type": "string"}},
            "X-Trackstream-Click-Id": {
                "description": "The click's id; only there when the click is in the log.",
                "schema": {"type": "string"},
            },
        },
    }
    pixel = {"description": "A transparent pixel.", "content": {"image/gif": {}}}
    cid = (("cid", True, "The campaign's id."), ("click_id", False, "The network's own click id."))
    by_campaign = refusals({*_LINK, Reason.MISSING_FIELD})
    return [
        Route(
            method="get",
            path="/v1/click",
            name="click",
            summary="A click on an ad: redirects to the campaign's page or store.",
            tag="touches",
            query=cid,
            answers={"302": redirect, **by_campaign},
        ),
        Route(
            method="get",
            path="/c/{slug}",
            name="shortLink",
            summary="A click on a tracking link.",
            tag="touches",
            answers={"302": redirect, **refusals(_LINK, unrouted=True)},
        ),
        Route(
            method="get",
            path="/v1/impression",
            name="impression",
            summary="An ad was seen.",
            tag="touches",
            query=cid,
            answers={"200": pixel, **by_campaign},
        ),
    ]


def _others() -> list[Route]:
    def registry(path: str, name: str, summary: str, schema: Schema, *errors: str) -> Route:
        answers = {
            status: json_answer("It is not there.", ref("RegistryError"), _REGISTRY)
            for status in errors
        }
        if errors:
            content = answers["404"]["content"]
            content["application/problem+json"] = {"schema": ref("NoRoute")}
        answers["200"] = json_answer(summary, schema, _REGISTRY)
        return Route(
            method="get", path=path, name=name, summary=summary, tag="schemas", answers=answers
        )

    def view(path: str, name: str, summary: str, media_type: str, schema: Schema) -> Route:
        return Route(
            method="get",
            path=path,
            name=name,
            summary=summary,
            tag="operations",
            answers={"200": json_answer(summary, schema, media_type)},
        )

    text: Schema = {"type": "string"}
    version = {
        "type": "object",
        "properties": {
            "subject": text,
            "version": {"type": "integer"},
            "id": {"type": "integer"},
            "schema": text,
        },
        "required": ["subject", "version", "id", "schema"],
    }
    by_id = {"type": "object", "properties": {"schema": text}, "required": ["schema"]}
    ready = view(
        "/health/ready",
        "ready",
        "Whether requests can be served.",
        "application/json",
        ref("Health"),
    )
    ready.answers["503"] = json_answer("Something is missing.", ref("Health"))
    metrics = replace(
        view("/metrics", "metrics", "Counters, for Prometheus.", "text/plain", text),
        security=[{"operator": []}, {}],
    )
    unseen = {Reason.UNAUTHENTICATED, Reason.FORBIDDEN, Reason.UNAVAILABLE}
    metrics.answers.update(refusals(unseen))
    asked = {*_BUSY, *_CALLER, *_READ, Reason.UNKNOWN_CONVERSION}
    return [
        Route(
            method="get",
            path="/v1/attributions/{id}/explain",
            name="explain",
            summary="How a conversion was decided.",
            tag="answers",
            security=[_SIGNED],
            answers={
                "200": json_answer("All its revisions.", ref("Explanation")),
                **refusals(asked, unrouted=True),
            },
        ),
        registry("/schemas/ids/{id}", "schemaById", "A schema by its id.", by_id, "404"),
        registry("/subjects", "subjects", "All subjects.", {"type": "array", "items": text}),
        registry(
            "/subjects/{subject}/versions",
            "versions",
            "The versions of a subject.",
            {"type": "array", "items": {"type": "integer"}},
            "404",
        ),
        registry(
            "/subjects/{subject}/versions/{version}",
            "version",
            "A version of a subject, by number or `latest`.",
            version,
            "404",
            "422",
        ),
        view("/health/live", "live", "200 as long as it runs.", "application/json", ref("Health")),
        ready,
        metrics,
        view(
            "/openapi.json", "openapi", "This description.", "application/json", {"type": "object"}
        ),
        view("/docs", "docs", "This description, to be read.", "text/html", text),
    ]


def _preflights(posts: list[Route]) -> list[Route]:
    return [
        Route(
            method="options",
            path=one.path,
            name=f"{one.name}Preflight",
            summary="What pages of other origins may send.",
            tag=one.tag,
            answers={
                "204": {"description": "They may."},
                **refusals({Reason.FORBIDDEN, Reason.INTERNAL}),
            },
        )
        for one in posts
        if one.method == "post"
    ]


_ASKED = [*_ours(), *_segments(), *_touches(), *_others()]
ROUTES = (*_ASKED, *_preflights(_ASKED))
"""All of them; a test compares them with the application's."""
