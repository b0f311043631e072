"""The routes to which events are sent: our own, and Segment's."""

from __future__ import annotations

from trackstream.core.reasons import Reason
from trackstream.core.segment import TYPES
from trackstream.http.openapi.answers import json_answer, ref, refusals, segment_status
from trackstream.http.openapi.route import BATCH, BUSY, EVENT, JSON, SENDERS, Route

__all__ = ["own_routes", "segment_routes"]


def own_routes() -> list[Route]:
    """Those of our own events."""
    both = {"anyOf": [ref("Batch"), ref("SegmentBatch")]}
    segments = refusals(BATCH, status_of=segment_status, document="SegmentRefusal")
    ours = refusals(BATCH)
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
            security=SENDERS,
            answers={
                "201": json_answer("It is taken.", ref(f"{name.capitalize()}Accepted")),
                **refusals(EVENT),
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
            security=[*SENDERS, {}],
            answers={
                "200": json_answer("Segment's batch: all or some are taken.", ref("SegmentDone")),
                "201": json_answer("All are taken.", ref("BatchVerdicts")),
                "207": json_answer("Some are not taken.", ref("BatchVerdicts")),
                **ours,
            },
        )
    ]


def segment_routes() -> list[Route]:
    """Those of Segment's HTTP API."""
    done = json_answer("It is taken; or some of a batch are, with verdicts.", ref("SegmentDone"))
    calls = [(f"/v1/{kind}", kind, f"Segment{kind.capitalize()}", EVENT) for kind in TYPES]
    calls += [
        (f"/v1/{kind[0]}", f"{kind}Short", f"Segment{kind.capitalize()}", EVENT) for kind in TYPES
    ]
    calls += [
        ("/v1/b", "segmentBatch", "SegmentBatch", BATCH),
        ("/v1/import", "segmentImport", "SegmentBatch", BATCH),
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
            security=[*SENDERS, {}],
            answers={
                "200": done,
                **refusals(reasons, status_of=segment_status, document="SegmentRefusal"),
            },
        )
        for path, name, schema, reasons in calls
    ]
    busy = refusals({*BUSY, *JSON})
    origin = refusals({*BUSY, Reason.UNAUTHENTICATED, Reason.UNKNOWN_ROUTE})
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
