"""Every route of the collector: what it takes and all that it may answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trackstream.core.reasons import Reason
from trackstream.http.openapi.answers import json_answer, ref, refusals
from trackstream.http.openapi.event_routes import own_routes, segment_routes
from trackstream.http.openapi.route import (
    BUSY,
    CALLER,
    LINK,
    READ,
    SIGNED,
    Route,
    Schema,
    operation,
)

__all__ = ["ROUTES", "Route", "paths"]

_REGISTRY = "application/vnd.schemaregistry.v1+json"


def paths() -> dict[str, dict[str, Any]]:
    """`paths` of the document."""
    found: dict[str, dict[str, Any]] = {}
    for one in ROUTES:
        found.setdefault(one.path, {})[one.method] = operation(one)
    return found


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
    cid = (
        ("cid", True, "The campaign's id."),
        ("app_id", False, "The app, where campaigns of several have this id; `app` will do."),
        ("click_id", False, "The network's own click id."),
    )
    by_campaign = refusals({*LINK, Reason.MISSING_FIELD, Reason.AMBIGUOUS_LINK})
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
            answers={"302": redirect, **refusals({*LINK, Reason.UNKNOWN_ROUTE})},
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
            answers["404"]["content"] |= refusals({Reason.UNKNOWN_ROUTE})["404"]["content"]
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
    asked = {*BUSY, *CALLER, *READ, Reason.UNKNOWN_CONVERSION, Reason.UNKNOWN_ROUTE}
    return [
        Route(
            method="get",
            path="/v1/attributions/{id}/explain",
            name="explain",
            summary="How a conversion was decided.",
            tag="answers",
            security=[SIGNED],
            answers={
                "200": json_answer("All its revisions.", ref("Explanation")),
                **refusals(asked),
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


_ASKED = [*own_routes(), *segment_routes(), *_touches(), *_others()]
ROUTES = (*_ASKED, *_preflights(_ASKED))
"""All of them; a test compares them with the application's."""
