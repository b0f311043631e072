"""Segment's HTTP API: paths, keys, answers. What its libraries make of it is in `segment/`."""

import base64
import gzip
import json
from typing import Any

import pytest

from tests.http.service import NOW_MS, SERVER_KEY, SITE_KEY, WRITE_KEY, Service, refused
from trackstream.core.records import Envelope, RawEvent, Rejected
from trackstream.http import bodies
from trackstream.storage.user_agents import UaParser

BASIC = {"Authorization": "Basic " + base64.b64encode(f"{WRITE_KEY.key_id}:".encode()).decode()}
TRACK: dict[str, Any] = {
    "type": "track", "event": "Read", "anonymousId": "a-1", "messageId": "m-1",
    "timestamp": "2025-07-10T12:00:00Z",
}  # fmt: skip
BAD: dict[str, Any] = {**TRACK, "event": None, "messageId": "m-bad", "userId": "u-bad"}


async def post(service: Service, path: str, value: Any, **headers: str) -> Any:
    """As Segment's libraries do: no header of ours."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    headers = {"Content-Type": "application/json", **BASIC, **headers}
    return await service.client.post(path, data=body, headers=headers)


def envelopes(service: Service) -> list[Envelope]:
    found = [record for _, record in service.sink.records("raw")]
    return [one for one in found if isinstance(one, Envelope)]


def events(service: Service) -> list[RawEvent]:
    return [event for one in envelopes(service) for event in one.events]


@pytest.mark.parametrize(
    ("paths", "name"),
    [
        (("/v1/track", "/v1/t"), "Read"),
        (("/v1/page", "/v1/p"), "page_view"),
        (("/v1/screen", "/v1/s"), "screen_view"),
        (("/v1/identify", "/v1/i"), "identify"),
        (("/v1/group", "/v1/g"), "group"),
        (("/v1/alias", "/v1/a"), "alias"),
    ],
)
async def test_every_call_has_its_paths(
    service: Service, paths: tuple[str, str], name: str
) -> None:
    for path in paths:
        response = await post(service, path, {**TRACK, "type": "other than the path says"})
        assert (response.status, await response.json()) == (200, {"success": True})
    assert [(one.event, one.event_id) for one in events(service)] == [(name, "m-1")] * 2
    assert [key for key, _ in service.sink.records("raw")] == ["shop|cookie:a-1"] * 2


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import"])
async def test_a_batch_is_one_write(service: Service, path: str) -> None:
    more = {**TRACK, "type": "page", "messageId": "m-2", "name": "Home"}
    batch = {"batch": [TRACK, more], "sentAt": "2025-07-10T12:00:05Z"}
    response = await post(service, path, batch)
    assert (response.status, await response.json()) == (200, {"success": True})
    assert service.sink.calls == 1
    (envelope,) = envelopes(service)
    assert envelope.sent_at_ms == NOW_MS + 5000
    assert [one.event for one in envelope.events] == ["Read", "page_view"]


async def test_one_path_serves_both_batches(service: Service) -> None:
    own = {"events": [{"event": "view", "user_id": "u", "timestamp": NOW_MS}]}
    assert (await service.post("/v1/batch", own)).status == 201
    assert (await post(service, "/v1/batch", own)).status == 201
    assert (await service.post("/v1/batch", {"batch": [TRACK]})).status == 200
    assert (await service.signed("/v1/batch", {"batch": [TRACK]})).status == 200
    await refused(await service.post("/v1/batch", {}), 422, "missing_field")


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_the_key_may_be_in_the_body(service: Service, encoding: str) -> None:
    texts = [
        json.dumps({"writeKey": WRITE_KEY.key_id, "batch": [TRACK]}),
        json.dumps(
            {"batch": [{**TRACK, "properties": {"t": "\ud83d"}}], "writeKey": WRITE_KEY.key_id}
        ),
    ]
    for text in texts:
        body = gzip.compress(text.encode()) if encoding else text.encode()
        headers = {"Content-Type": "text/plain", "Content-Encoding": encoding or "identity"}
        response = await service.client.post("/v1/b", data=body, headers=headers)
        assert response.status == 200, await response.text()
    single = json.dumps({**TRACK, "writeKey": WRITE_KEY.key_id})
    plain = {"Content-Type": "text/plain"}
    assert (await service.client.post("/v1/t", data=single, headers=plain)).status == 200
    assert len(events(service)) == 3


@pytest.mark.parametrize(
    "body", [b'{"writeKey":"nobody"}', b'{"writeKey":5}', b"[]", b"{", b"", b"\xff", b"[" * 99_999]
)
async def test_strangers_are_told_so_once(service: Service, body: bytes) -> None:
    response = await service.client.post("/v1/batch", data=body)
    document = await refused(response, 401, "unauthenticated")
    assert document["code"] == "unauthenticated"
    assert document["success"] is False
    assert service.sink.sent == []


async def test_a_key_in_a_body_is_looked_for_in_bounds_and_without_making_objects(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is nobody costs what it takes to know that: no objects, no large inflation."""
    parsed: list[bytes] = []
    monkeypatch.setattr(bodies, "parse_json", parsed.append)
    most_bytes = 500_000
    for start in (b'{"s":"\\ud800","b":[[]', b'{"writeKey":1,"b":[[]'):
        body = start + b",[]" * ((most_bytes - len(start)) // 3) + b"]}"
        headers = {"Content-Encoding": "gzip"}
        response = await service.client.post("/v1/t", data=gzip.compress(body), headers=headers)
        await refused(response, 401, "unauthenticated")
        bomb = gzip.compress(body + b" " * 600_000)
        response = await service.client.post("/v1/t", data=bomb, headers=headers)
        await refused(response, 413, "too_large")
        response = await service.client.post("/v1/t", data=body + b" " * 500_000)
        await refused(response, 413, "too_large")
    assert parsed == []


async def test_the_key_may_be_the_last_of_a_large_body(service: Service) -> None:
    text = "\ud83d\\" + "x" * 30_000
    batch = [{**TRACK, "messageId": f"m-{n}", "properties": {"t": text}} for n in range(15)]
    body = json.dumps({"batch": batch, "writeKey": WRITE_KEY.key_id}).encode()
    headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
    response = await service.client.post("/v1/b", data=gzip.compress(body), headers=headers)
    assert response.status == 200, await response.text()
    assert len(events(service)) == 15


async def test_a_key_with_origins_works_only_there(service: Service) -> None:
    body = json.dumps({**TRACK, "writeKey": SITE_KEY.key_id})
    for origin, status in (("https://shop.example", 200), ("https://evil.example", 403)):
        headers = {"Origin": origin, "Content-Type": "text/plain"}
        response = await service.client.post("/v1/t", data=body, headers=headers)
        assert response.status == status
        shown = response.headers.get("Access-Control-Allow-Origin")
        assert shown == (origin if status == 200 else None)


async def test_what_is_refused_of_a_batch_is_told_and_kept(service: Service) -> None:
    response = await post(service, "/v1/batch", {"batch": [TRACK, BAD, 7]})
    answer = await response.json()
    assert (response.status, answer["success"]) == (200, False)
    assert (answer["accepted"], answer["rejected"]) == (1, 2)
    assert answer["events"][0] == {"index": 0, "event_id": "m-1", "status": "accepted"}
    assert (answer["events"][1]["event_id"], answer["events"][1]["reasons"]) == (
        "m-bad", ["missing_field"],
    )  # fmt: skip
    kept = service.sink.records("rejected")
    assert [key for key, _ in kept] == ["shop|cookie:a-1", "shop"]
    payloads = [json.loads(one.payload) for _, one in kept if isinstance(one, Rejected)]
    assert payloads == [BAD, 7]
    assert await service.metric('events_accepted_total{route="batch"}') == 1


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("/v1/track", BAD, "missing_field"),
        ("/v1/batch", {"batch": [BAD, BAD]}, "missing_field"),
        ("/v1/b", {"batch": [{**TRACK, "type": ["track"]}]}, "invalid_value"),
        ("/v1/b", {"batch": [{**TRACK, "properties": {"a": "x" * 70_000}}]}, "too_large"),
        ("/v1/batch", {"batch": []}, "empty_batch"),
        ("/v1/batch", {"batch": {}}, "wrong_type"),
        ("/v1/b", {}, "missing_field"),
        ("/v1/batch", {"batch": [TRACK], "sentAt": "now"}, "invalid_value"),
        ("/v1/track", [TRACK], "wrong_type"),
        ("/v1/track", b"{", "malformed_body"),
    ],
)
async def test_a_request_of_which_nothing_is_taken_is_400(
    service: Service, path: str, value: Any, reason: str
) -> None:
    document = await refused(await post(service, path, value), 400, reason)
    assert (document["code"], document["success"]) == (reason, False)
    assert document["message"]
    assert service.sink.records("raw") == []
    assert service.sink.records("rejected")


async def test_more_than_is_allowed_is_413(service: Service) -> None:
    response = await post(service, "/v1/batch", {"batch": [TRACK] * 1001})
    assert (await refused(response, 413, "too_many_events"))["code"] == "too_many_events"


async def test_nothing_is_taken_that_the_log_did_not_take(service: Service) -> None:
    service.sink.down = True
    for path, value in (("/v1/t", TRACK), ("/v1/batch", {"batch": [TRACK]}), ("/v1/t", BAD)):
        response = await post(service, path, value)
        assert (await refused(response, 503, "unavailable"))["code"] == "unavailable"
        assert int(response.headers["Retry-After"]) > 0


async def test_a_servers_request_shows_nothing_of_its_user(service: Service) -> None:
    def of(library: str, **context: Any) -> dict[str, Any]:
        return {**TRACK, "context": {"library": {"name": library}, **context}}

    stated = {"userAgent": "theirs", "ip": "203.0.113.7"}
    batch = [
        of("analytics-python"), of("analytics-python", **stated), of("analytics-kotlin"),
        of("analytics.js"),
    ]  # fmt: skip
    await post(service, "/v1/batch", {"batch": batch}, **{"User-Agent": "library"})
    await service.signed("/v1/batch", {"batch": batch[1:2]})
    assert {(one.ip, one.user_agent) for one in envelopes(service)} == {
        (None, None), (None, "theirs"), ("127.0.0.1", None), ("127.0.0.1", "library"),
        ("203.0.113.7", "theirs"),
    }  # fmt: skip


async def test_an_idempotency_key_names_what_has_no_id(service: Service) -> None:
    unnamed = {name: value for name, value in TRACK.items() if name != "messageId"}
    await post(service, "/v1/batch", {"batch": [unnamed, TRACK]}, **{"Idempotency-Key": "once"})
    await post(service, "/v1/t", unnamed, **{"Idempotency-Key": "once"})
    assert [one.event_id for one in events(service)] == ["once:0", "m-1", "once"]
    for path, value in (("/v1/batch", {"batch": [unnamed]}), ("/v1/t", unnamed)):
        response = await post(service, path, value, **{"Idempotency-Key": "k" * 201})
        await refused(response, 400, "invalid_value")


async def test_browsers_may_ask_before_they_send(service: Service) -> None:
    headers = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-retry-count",
    }
    for path in ("/v1/t", "/v1/b", "/v1/batch", "/v1/identify", "/v1/m"):
        response = await service.client.options(path, headers=headers)
        assert response.status == 204
        allowed = response.headers["Access-Control-Allow-Headers"].lower().split(", ")
        assert {"authorization", "x-retry-count", "content-type"} <= set(allowed)


async def test_settings_send_the_library_back_to_where_they_came_from(service: Service) -> None:
    response = await service.client.get(
        f"/v1/projects/{WRITE_KEY.key_id}/settings", headers={"Origin": "https://a.example"}
    )
    assert response.headers["Access-Control-Allow-Origin"] == "https://a.example"
    settings = await response.json()
    place = service.client.make_url("/")
    assert settings["integrations"]["Segment.io"].items() >= {
        "apiKey": WRITE_KEY.key_id, "apiHost": f"{place.host}:{place.port}/v1", "protocol": "http",
    }.items()  # fmt: skip
    assert settings["metrics"]["sampleRate"] == 0


async def test_settings_name_the_public_url(user_agents: UaParser) -> None:
    service = Service(user_agents, public_url="https://t.example/in/")
    await service.start()
    response = await service.client.get(f"/v1/projects/{WRITE_KEY.key_id}/settings")
    settings = (await response.json())["integrations"]["Segment.io"]
    assert (settings["apiHost"], settings["protocol"]) == ("t.example/in/v1", "https")
    await service.stop()


async def test_settings_are_only_for_write_keys_and_their_origins(service: Service) -> None:
    async def ask(key_id: str, origin: str = "https://shop.example") -> Any:
        return await service.client.get(
            f"/v1/projects/{key_id}/settings", headers={"Origin": origin}
        )

    assert (await ask(SITE_KEY.key_id)).status == 200
    await refused(await ask(SITE_KEY.key_id, "https://evil.example"), 403, "forbidden")
    await refused(await ask(SERVER_KEY.key_id), 401, "unauthenticated")
    service.missing = ["postgres"]
    await refused(await ask("not-read-yet"), 503, "unavailable")


async def test_what_the_library_counts_of_itself_is_counted(service: Service) -> None:
    series = [
        {"type": "Counter", "metric": "analytics_js.invoke", "value": 2, "tags": {}},
        {"metric": "analytics_js.invoke"},
        {"metric": "made up", "value": 10**300},
        {"metric": ["odd"], "value": True},
    ]
    headers = {"Content-Type": "text/plain", "Origin": "https://a.example"}
    response = await service.client.post(
        "/v1/m", data=json.dumps({"series": series}), headers=headers
    )
    assert (response.status, await response.json()) == (200, {"success": True})
    assert response.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert await service.metric('segment_library_total{metric="analytics_js.invoke"}') == 3
    assert await service.metric('segment_library_total{metric="other"}') == 1001
    for body, status in ((b"[]", 422), (b'{"series":[1]}', 422), (b"{", 400)):
        assert (await service.client.post("/v1/m", data=body)).status == status
