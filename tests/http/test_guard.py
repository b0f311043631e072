"""Who gets in, behind which proxies, and how often."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.http.service import (
    EVENT,
    NOW_MS,
    SERVER_KEY,
    WRITE_KEY,
    Service,
    click,
    refused,
    served,
)
from trackstream.core.records import Envelope, Touch
from trackstream.core.signing import signed_headers
from trackstream.settings import Settings

if TYPE_CHECKING:
    from trackstream.storage.user_agents import UaParser


async def test_an_address_that_sends_too_much_is_told_when_to_come_back(
    user_agents: UaParser,
) -> None:
    async with served(user_agents, rate_limit_ip_per_s=1, rate_limit_burst_s=3) as service:
        for _ in range(3):
            assert (await service.post("/v1/event", EVENT)).status == 201
        response = await service.post("/v1/event", EVENT, headers={"Origin": "https://a.example"})
        await refused(response, 429, "rate_limited")
        assert response.headers["Retry-After"] == "1"
        assert response.headers["RateLimit-Policy"] == '"ip";q=3;w=3'
        assert response.headers["RateLimit"] == '"ip";r=0;t=1'
        assert "RateLimit" in response.headers["Access-Control-Expose-Headers"]
        await refused(await click(service), 429, "rate_limited")
        assert await service.metric('refusals_total{reason="rate_limited"}') == 2
        assert service.sink.calls == 3
        assert (await service.client.get("/health/live")).status == 200


async def test_unknown_paths_and_preflights_count_as_well(user_agents: UaParser) -> None:
    asked = [("GET", "/nope"), ("PUT", "/c/sale"), ("OPTIONS", "/v1/event"), ("OPTIONS", "/v1/t")]
    for method, path in asked:
        async with served(user_agents, rate_limit_ip_per_s=1, rate_limit_burst_s=2) as service:
            statuses = [(await service.client.request(method, path)).status for _ in range(4)]
            assert statuses[2:] == [429, 429], (method, path, statuses)
            assert 429 not in statuses[:2]
            await refused(await service.client.request(method, path), 429, "rate_limited")
        async with served(user_agents, blocked_networks="127.0.0.0/8") as service:
            await refused(await service.client.request(method, path), 403, "forbidden")


async def test_the_limit_of_a_key_is_one_for_all_that_it_is_used_for(
    user_agents: UaParser,
) -> None:
    async with served(user_agents, rate_limit_key_per_s=1, rate_limit_burst_s=2) as service:
        path = "/v1/attributions/x/explain"
        for status in (503, 503, 429):  # it has no database to ask
            headers = signed_headers(
                *(SERVER_KEY.key_id, SERVER_KEY.secret or ""),
                method="GET",
                path=path,
                body=b"",
                now_s=NOW_MS // 1000,
                nonce=os.urandom(8).hex(),
            )
            assert (await service.client.get(path, headers=headers)).status == status
        await refused(await service.signed("/v1/event", EVENT), 429, "rate_limited")


async def test_a_key_that_is_used_too_much_costs_nothing_more(user_agents: UaParser) -> None:
    async with served(user_agents, rate_limit_key_per_s=1, rate_limit_burst_s=2) as service:
        for _ in range(2):
            assert (await service.post("/v1/event", EVENT)).status == 201
        response = await service.post("/v1/event", EVENT)
        await refused(response, 429, "rate_limited")
        assert response.headers["RateLimit-Policy"] == '"key";q=2;w=2'
        assert service.sink.calls == 2  # not on `rejected` either
        assert (await service.signed("/v1/event", EVENT)).status == 201
        assert (await click(service)).status == 302


async def test_no_limit_is_no_limit(user_agents: UaParser) -> None:
    async with served(
        user_agents, rate_limit_key_per_s=0, rate_limit_ip_per_s=0, rate_limit_burst_s=1
    ) as service:
        statuses = [(await service.post("/v1/event", EVENT)).status for _ in range(20)]
    assert set(statuses) == {201}


async def test_blocked_networks_are_refused_and_allowed_ones_not(user_agents: UaParser) -> None:
    async with served(user_agents, blocked_networks="127.0.0.0/8") as service:
        await refused(await service.post("/v1/event", EVENT), 403, "forbidden")
        await refused(await click(service), 403, "forbidden")
        assert service.sink.calls == 0
        assert (await service.client.get("/health/live")).status == 200
    async with served(
        user_agents,
        blocked_networks="0.0.0.0/0,::/0",
        allowed_networks="127.0.0.1",
        rate_limit_ip_per_s=1,
        rate_limit_burst_s=1,
    ) as service:
        for _ in range(3):
            assert (await service.post("/v1/event", EVENT)).status == 201


async def test_a_forwarded_address_counts_only_from_trusted_proxies(user_agents: UaParser) -> None:
    forwarded = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9", "X-Forwarded-Proto": "https"}
    for proxies in ("", "10.0.0.0/8", "127.0.0.1"):
        address = "203.0.113.9" if proxies == "127.0.0.1" else "127.0.0.1"
        async with served(
            user_agents, trusted_proxies=proxies, blocked_networks="6.6.6.6"
        ) as service:
            assert (await service.post("/v1/event", EVENT, headers=forwarded)).status == 201
            [(_, envelope)] = service.sink.records("raw")
            assert isinstance(envelope, Envelope)
            assert envelope.ip == address
            response = await click(service, **forwarded)
            assert ("Secure" in response.headers["Set-Cookie"]) == (address == "203.0.113.9")
            touches = [one for _, one in service.sink.records("identity")]
            assert {one.ip for one in touches if isinstance(one, Touch)} == {address}


async def test_urls_of_ours_are_those_that_the_proxy_is_called_by(user_agents: UaParser) -> None:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "go.example"}
    for proxies, host in (("127.0.0.1", "go.example/v1"), ("10.0.0.0/8", "127.0.0.1")):
        async with served(user_agents, trusted_proxies=proxies) as service:
            path = f"/v1/projects/{WRITE_KEY.key_id}/settings"
            response = await service.client.get(path, headers=forwarded)
            segment = (await response.json())["integrations"]["Segment.io"]
            assert segment["apiHost"].startswith(host)
            assert segment["protocol"] == ("https" if host == "go.example/v1" else "http")


async def test_what_is_limited_and_blocked_is_the_client_behind_the_proxy(
    user_agents: UaParser,
) -> None:
    async with served(
        user_agents,
        trusted_proxies="127.0.0.1",
        blocked_networks="203.0.113.66",
        rate_limit_ip_per_s=1,
        rate_limit_burst_s=1,
    ) as service:

        async def status(address: str) -> int:
            headers = {"X-Forwarded-For": address}
            return (await service.post("/v1/event", EVENT, headers=headers)).status

        assert await status("203.0.113.66") == 403
        assert [await status("203.0.113.1"), await status("203.0.113.1")] == [201, 429]
        assert [await status("203.0.113.2"), await status("9.9.9.9, 203.0.113.2")] == [201, 429]
        assert [await status("2001:db8::1"), await status("2001:db8::2")] == [201, 429]
        assert await status("2001:db8:0:1::1") == 201
        assert await status("::ffff:cb00:7142") == 403
        assert [await status("::ffff:909:901"), await status("::ffff:909:902")] == [201, 201]
        assert await status("9.9.9.1") == 429


async def test_what_a_client_puts_before_the_proxys_words_does_not_hide_it(
    user_agents: UaParser,
) -> None:
    async with served(
        user_agents,
        trusted_proxies="127.0.0.1",
        trusted_proxy_header="forwarded",
        blocked_networks="6.6.6.6",
    ) as service:
        for claimed in ("x, for=6.6.6.6", 'for=", for=6.6.6.6'):
            response = await service.post("/v1/event", EVENT, headers={"Forwarded": claimed})
            await refused(response, 403, "forbidden")
        response = await service.post("/v1/event", EVENT, headers={"Forwarded": "for=x"})
        await refused(response, 400, "malformed_request")
        assert service.sink.sent == []


async def test_the_cookies_attributes_are_settings(user_agents: UaParser) -> None:
    for settings, attributes in (
        ({}, "; HttpOnly; SameSite=Lax"),
        ({"cookie_same_site": "strict", "cookie_secure": "always"}, "; SameSite=Strict; Secure"),
        ({"cookie_same_site": "none"}, "; SameSite=None; Secure"),
    ):
        async with served(user_agents, **settings) as service:
            assert (await click(service)).headers["Set-Cookie"].endswith(attributes)


async def test_without_consent_there_is_no_cookie(user_agents: UaParser) -> None:
    async with served(user_agents, cookie_consent=Settings().cookie_consent) as service:
        cookie = {"Cookie": "trackstream_id=abcdefghijklmnop"}
        for path, headers in (
            ("/c/sale?a=1", {}),
            ("/c/sale?a=2&consent=0", {}),
            ("/c/sale?a=3&consent=1", {"Sec-GPC": "1"}),
            ("/c/sale?a=3&consent=1&b", {"DNT": "1", **cookie}),
            ("/c/sale?a=4", cookie),
        ):
            response = await click(service, path, **headers)
            assert "Set-Cookie" not in response.headers
            assert "X-Trackstream-Click-Id" in response.headers
        touched = [key for key, _ in service.sink.records("identity")]
        assert not [key for key in touched if key.startswith("shop|cookie:")]
        assert "Set-Cookie" in (await click(service, "/c/sale?consent=1")).headers
        service.client.session.cookie_jar.clear()
        await click(service, "/c/sale?a=5&consent=1", **cookie)
        assert "shop|cookie:abcdefghijklmnop" in {k for k, _ in service.sink.records("identity")}


@pytest.mark.parametrize("objection", ["Sec-GPC", "DNT"])
async def test_who_objects_gets_no_cookie_and_is_not_known_by_one(
    service: Service, objection: str
) -> None:
    headers = {objection: "1", "Cookie": "trackstream_id=abcdefghijklmnop"}
    response = await click(service, **headers)
    assert "Set-Cookie" not in response.headers
    assert "X-Trackstream-Click-Id" in response.headers
    nobody = {"event": "view", "timestamp": NOW_MS}
    await refused(await service.post("/v1/event", nobody, headers=headers), 422, "no_identifier")
    assert not [key for _, key, _ in service.sink.sent if b"cookie:" in key]
    for value in ("0", ""):
        response = await click(service, f"/c/sale?v={value}", **{objection: value})
        assert "Set-Cookie" in response.headers
