"""A click says from which country it came, where a database knows: for the rule of its mismatch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp.test_utils import TestClient, TestServer

from tests.http.service import ANDROID, ListSink, Registered
from tests.storage.shared_data import shared_data
from trackstream.core.records import Touch
from trackstream.http.collector import create_collector
from trackstream.settings import Settings
from trackstream.storage.cache import RedisTouchCache
from trackstream.storage.geo import MaxMindGeo

if TYPE_CHECKING:
    from trackstream.storage.user_agents import UaParser


async def test_a_click_has_the_country_of_its_address(user_agents: UaParser) -> None:
    sink = ListSink()
    collector = create_collector(
        settings=Settings(trusted_proxies="127.0.0.0/8"),
        directory=Registered(),
        sink=sink,
        cache=RedisTouchCache(None),
        user_agents=user_agents,
        geo=MaxMindGeo(shared_data("geoip/GeoIP2-City-Test.mmdb")),
    )
    client: TestClient[Any, Any] = TestClient(TestServer(collector))
    async with client:
        sent = {"User-Agent": ANDROID, "X-Forwarded-For": "81.2.69.142"}
        await client.get("/c/sale", allow_redirects=False, headers=sent)
    touch = next(one for _, one in sink.records("identity") if isinstance(one, Touch))
    assert (touch.ip, touch.country) == ("81.2.69.142", "GB")
