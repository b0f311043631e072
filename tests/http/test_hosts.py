"""The host that a request is for, and what answers make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.http.doors import door, told
from tests.http.service import WRITE_KEY, Service, refused
from trackstream.http.hosts import is_host

if TYPE_CHECKING:
    from trackstream.storage.user_agents import UaParser

PATH = f"/v1/projects/{WRITE_KEY.key_id}/settings"


@pytest.mark.parametrize(
    "text",
    ["a", "go.shop.example", "a:80", "A-b_c.d:65535", "127.0.0.1:8080", "[::1]", "[::1]:8080"],
)
def test_hosts(text: str) -> None:
    assert is_host(text)


@pytest.mark.parametrize(
    "text",
    ["", "a:65536", "a:b", "a:", "[::", "[::1", "[1:2]", "a/b", "a@b", "a?b", "a b", "ä", "\udcff",
     "a\n", "a:\u0668", 'a"<>', "a" * 254],
)  # fmt: skip
def test_no_hosts(text: str) -> None:
    assert not is_host(text)


async def test_a_request_for_no_host_is_refused(user_agents: UaParser) -> None:
    hosts = (b"a:65536", b"a:b", b"", b"\xff", b"[::", b"a/b", b"a\r\nHost: b")
    async with door(user_agents) as port:
        for path in (PATH.encode(), b"/c/sale", b"/health/live"):
            for host in hosts:
                head = b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
                answer = await told(port, head % (path, host))
                assert b" 400 " in answer[:13], (path, host, answer)
                assert b"application/problem+json" in answer
        assert b" 400 " in (await told(port, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"))[:13]
        assert b" 200 " in (await told(port, b"GET /health/live HTTP/1.0\r\n\r\n"))[:13]


async def test_settings_without_a_public_url_are_for_nobodys_cache(service: Service) -> None:
    for origin in ({}, {"Origin": "https://a.example"}):
        response = await service.client.get(PATH, headers={"Host": "evil.example", **origin})
        settings = (await response.json())["integrations"]["Segment.io"]
        assert settings["apiHost"] == "evil.example/v1"
        assert response.headers["Cache-Control"] == "private, max-age=300"
        assert response.headers["Vary"] == "Origin"
    for host in ("a:65536", "a:b"):
        response = await service.client.get(PATH, headers={"Host": host})
        await refused(response, 400, "malformed_request")


async def test_settings_with_a_public_url_are_the_same_for_all(user_agents: UaParser) -> None:
    service = Service(user_agents, public_url="https://go.example")
    await service.start()
    for host in ("evil.example", "a:b"):
        response = await service.client.get(PATH, headers={"Host": host})
        settings = (await response.json())["integrations"]["Segment.io"]
        assert settings["apiHost"] == "go.example/v1"
        assert response.headers["Cache-Control"] == "public, max-age=300"
        assert response.headers["Vary"] == "Origin"
    await service.stop()
