import base64

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.http.service import (
    EVENT,
    NOW_MS,
    ORPHAN_KEY,
    SERVER_KEY,
    SITE_KEY,
    WRITE_KEY,
    Service,
    refused,
)
from trackstream.core.signing import signed_headers
from trackstream.storage.user_agents import UaParser

NOW_S = NOW_MS // 1000
BODY = b'{"event":"view","user_id":"u1","timestamp":1752148800}'


def headers(path: str = "/v1/event", **changes: str) -> dict[str, str]:
    found = signed_headers(
        SERVER_KEY.key_id,
        SERVER_KEY.secret or "",
        method="POST",
        path=path,
        body=BODY,
        now_s=NOW_S,
        nonce="n",
    )
    return {"Content-Type": "application/json", **found, **changes}


async def test_a_signed_request_is_accepted_once(service: Service) -> None:
    first = await service.client.post("/v1/event", data=BODY, headers=headers())
    assert first.status == 201
    again = await service.client.post("/v1/event", data=BODY, headers=headers())
    await refused(again, 409, "replayed")
    shouted = headers()
    shouted["Authorization"] = "HMAC " + shouted["Authorization"][5:].upper()
    await refused(
        await service.client.post("/v1/event", data=BODY, headers=shouted), 409, "replayed"
    )


async def test_the_query_is_signed_with_the_path(service: Service) -> None:
    path = "/v1/event?source=crm"
    signed = headers(path)
    assert (await service.client.post(path, data=BODY, headers=signed)).status == 201
    other = await service.client.post("/v1/event?source=x", data=BODY, headers=signed)
    await refused(other, 401, "bad_signature")


async def test_inside_another_application_the_whole_path_is_signed(user_agents: UaParser) -> None:
    service = Service(user_agents)
    outer = web.Application()
    outer.add_subapp("/collect", service.application)
    server = TestServer(outer)
    await server.start_server(auto_decompress=False)
    async with TestClient(server) as client:
        path = "/collect/v1/event"
        response = await client.post(path, data=BODY, headers=headers(path))
        assert response.status == 201
        missing = await client.get("/collect/nowhere")
        assert (missing.status, missing.content_type) == (404, "application/problem+json")
    await service.stop()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Authorization": "HMAC " + "0" * 64}, "bad_signature"),
        ({"Authorization": "HMAC abc"}, "bad_signature"),
        ({"Authorization": ""}, "bad_signature"),
        ({"Authorization": "HMAC é"}, "bad_signature"),
        ({"X-Trackstream-Timestamp": str(NOW_S + 1)}, "bad_signature"),
        ({"X-Trackstream-Timestamp": "now"}, "bad_signature"),
        ({"X-Trackstream-Nonce": "other"}, "bad_signature"),
        ({"X-Trackstream-Nonce": "n" * 65}, "bad_signature"),
        ({"X-Trackstream-Key": "k-nobody"}, "unauthenticated"),
        ({"X-Trackstream-Key": WRITE_KEY.key_id}, "unauthenticated"),
        ({"X-Trackstream-Key": ""}, "unauthenticated"),
    ],
)
async def test_a_forged_request_is_refused(
    service: Service, changes: dict[str, str], reason: str
) -> None:
    response = await service.client.post("/v1/event", data=BODY, headers=headers(**changes))
    await refused(response, 401, reason)
    assert response.headers["WWW-Authenticate"].startswith("HMAC")
    assert service.sink.sent == []


async def test_a_changed_or_truncated_body_is_refused(service: Service) -> None:
    for body in (BODY + b" ", BODY[:-1], b""):
        response = await service.client.post("/v1/event", data=body, headers=headers())
        await refused(response, 401, "bad_signature")


@pytest.mark.parametrize("late_s", [-301, 301])
async def test_an_old_or_early_signature_is_refused(service: Service, late_s: int) -> None:
    service.now_ms += late_s * 1000
    response = await service.client.post("/v1/event", data=BODY, headers=headers())
    await refused(response, 401, "expired_signature")


async def test_a_write_key_is_taken_from_header_query_or_basic_user(service: Service) -> None:
    basic = "Basic " + base64.b64encode(b"k-write:").decode()
    json = {"Content-Type": "application/json"}
    for path, given in (
        ("/v1/event", {"X-Trackstream-Write-Key": "k-write"}),
        ("/v1/event?write_key=k-write", {}),
        ("/v1/event", {"Authorization": basic}),
    ):
        response = await service.client.post(path, data=BODY, headers={**json, **given})
        assert response.status == 201


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        ({}, 401, "unauthenticated"),
        ({"X-Trackstream-Write-Key": "k-nobody"}, 401, "unauthenticated"),
        ({"X-Trackstream-Write-Key": SERVER_KEY.key_id}, 401, "unauthenticated"),
        ({"Authorization": "Basic ???"}, 401, "unauthenticated"),
        ({"Authorization": "Bearer abc"}, 401, "unauthenticated"),
        ({"X-Trackstream-Write-Key": ORPHAN_KEY.key_id}, 401, "unknown_app"),
        ({"X-Trackstream-Write-Key": SITE_KEY.key_id}, 403, "forbidden"),
        (
            {"X-Trackstream-Write-Key": SITE_KEY.key_id, "Origin": "https://evil.example"},
            403,
            "forbidden",
        ),
    ],
)
async def test_who_is_not_known_or_not_here_is_refused(
    service: Service, given: dict[str, str], status: int, reason: str
) -> None:
    response = await service.client.post("/v1/event", data=BODY, headers=given)
    await refused(response, status, reason)
    assert service.sink.sent == []
    if reason == "forbidden":
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_page_of_the_allowed_origin_may_send_and_read(service: Service) -> None:
    given = {"X-Trackstream-Write-Key": SITE_KEY.key_id, "Origin": "https://shop.example"}
    for value, status in ((EVENT, 201), ({}, 422)):
        response = await service.post("/v1/event", value, headers=given)
        assert response.status == status
        assert response.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert response.headers["Vary"] == "Origin"


async def test_a_preflight_is_answered(service: Service) -> None:
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-trackstream-write-key",
    }
    response = await service.client.options("/v1/batch", headers=asked)
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    allowed = response.headers["Access-Control-Allow-Headers"].lower()
    assert "content-type" in allowed
    assert "x-trackstream-write-key" in allowed


async def test_a_preflight_with_a_key_for_another_origin_is_refused(service: Service) -> None:
    path = f"/v1/batch?write_key={SITE_KEY.key_id}"
    refusal = await service.client.options(path, headers={"Origin": "https://evil.example"})
    await refused(refusal, 403, "forbidden")
    assert "Access-Control-Allow-Origin" not in refusal.headers
    allowed = await service.client.options(path, headers={"Origin": "https://shop.example"})
    assert allowed.status == 204


async def test_a_beacon_is_accepted(service: Service) -> None:
    response = await service.client.post(
        f"/v1/event?write_key={SITE_KEY.key_id}",
        data=BODY,
        headers={"Origin": "https://shop.example", "Content-Type": "text/plain;charset=UTF-8"},
    )
    assert response.status == 201
