"""What a batch says of all its messages, and what of nothing that anybody reads."""

import gzip
from typing import Any

import msgspec
import pytest

from tests.http.service import EVENT, Service, refused
from tests.http.test_segment import TRACK, envelopes, post
from trackstream.core.records import Rejected


async def test_what_a_batch_says_is_said_of_its_messages(service: Service) -> None:
    campaign = {"source": "fb", "id": "c9"}
    batch = {
        "context": {"campaign": campaign, "device": {"id": "d-1"}, "os": {"name": "Android"}},
        "integrations": {"All": False},
        "sentAt": "2025-07-10T12:00:05Z",
        "messageId": "b-1",
        "sequence": 3,
        "batch": [
            TRACK,
            {**TRACK, "context": {"campaign": {"source": "google"}, "os": {}, "locale": "de"}},
            {**TRACK, "type": "nope"},
        ],
    }
    assert (await post(service, "/v1/batch", batch)).status == 200
    first, second = [one for envelope in envelopes(service) for one in envelope.events]
    assert first.campaign is not None
    assert first.campaign.campaign_id == "c9"
    assert first.campaign.utm_source == "fb"
    assert first.device_id == second.device_id == "d-1"
    assert second.campaign is not None
    assert second.campaign.campaign_id is None
    assert second.campaign.utm_source == "google"
    assert second.context is not None
    assert (second.context.os_name, second.context.locale) == ("Android", "de")
    [refused_one] = [one for _, one in service.sink.records("rejected")]
    assert isinstance(refused_one, Rejected)
    assert b'"c9"' in refused_one.payload  # sent again alone, it has to say the same


@pytest.mark.parametrize(
    ("document", "status", "reason"),
    [
        ({"batch": [TRACK], "events": [EVENT]}, 400, "invalid_value"),
        ({"batch": [], "events": [EVENT]}, 400, "invalid_value"),
        ({"batch": [TRACK], "userId": "u"}, 400, "invalid_value"),
        ({"batch": [TRACK], "context": "x"}, 400, "wrong_type"),
        ({"batch": [TRACK] * 600, "context": {"a": "x" * 9_000}}, 413, "too_large"),
        ({"events": [EVENT], "context": {"locale": "de"}}, 422, "invalid_value"),
        ({"events": [EVENT], "sentAt": 1}, 422, "invalid_value"),
    ],
)
async def test_a_batch_with_more_than_is_read_is_refused(
    service: Service, document: dict[str, Any], status: int, reason: str
) -> None:
    await refused(await service.post("/v1/batch", document), status, reason)
    assert {topic for topic, _, _ in service.sink.sent} <= {"rejected"}


async def test_a_batch_may_have_empty_members(service: Service) -> None:
    empty: dict[str, Any] = {"batch": None, "context": {}, "extra": [], "events": [EVENT]}
    assert (await service.post("/v1/batch", empty)).status == 201
    empty = {"batch": [TRACK], "context": None, "userId": "", "events": []}
    assert (await service.post("/v1/batch", empty)).status == 200


@pytest.mark.parametrize(
    ("path", "document", "ids"),
    [
        ("/v1/batch", {"events": [EVENT, {**EVENT, "event_id": "own"}], "odd": 1}, ["k:0", "own"]),
        ("/v1/batch", {"batch": [{"type": "track", "userId": "u"}], "userId": "u"}, ["k:0"]),
        ("/v1/event", {"event": "view"}, ["k"]),
        ("/v1/track", {"event": "view"}, ["k"]),
    ],
)
async def test_a_refused_request_keeps_the_ids_of_its_idempotency_key(
    service: Service, path: str, document: dict[str, Any], ids: list[str]
) -> None:
    await service.post(path, document, headers={"Idempotency-Key": "k"})
    [record] = [one for _, one in service.sink.records("rejected")]
    assert isinstance(record, Rejected)
    kept = msgspec.json.decode(record.payload)
    events = kept.get("events") or kept.get("batch") or [kept]
    assert [one.get("event_id") or one.get("messageId") for one in events] == ids


async def test_a_refused_request_that_is_long_but_compressed_is_kept_whole(
    service: Service,
) -> None:
    body = gzip.compress(msgspec.json.encode({"events": [EVENT] * 10_000}))
    headers = {"Idempotency-Key": "k", "Content-Encoding": "gzip"}
    await refused(
        await service.post("/v1/batch", data=body, headers=headers), 413, "too_many_events"
    )
    [record] = [one for _, one in service.sink.records("rejected")]
    assert isinstance(record, Rejected)
    assert record.payload == body
