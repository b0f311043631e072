"""`/v1/attributions/{id}/explain`, on a real database."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from tests.http.served import client_of, registered_key, running, until_ready
from tests.http.service import NOW_MS, SERVER_KEY, WRITE_KEY, ListSink, Registered, refused
from tests.ports import free_port
from tests.storage.records import an_attribution
from tests.storage.warehoused import write
from trackstream.core.records import Credit
from trackstream.core.signing import signed_headers
from trackstream.http.collector import create_collector
from trackstream.settings import Settings
from trackstream.storage.cache import RedisTouchCache
from trackstream.storage.database import make_engine
from trackstream.storage.explain import Explanation, explain
from trackstream.storage.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trackstream.storage.user_agents import UaParser

    Client = TestClient[Any, Any]

CREDIT = Credit(model="last", touch_id="t1", campaign_id="cmp001", share_millionths=1_000_000)


def _path(name: str) -> str:
    return f"/v1/attributions/{quote(name, safe=':')}/explain"


def _signed(path: str, nonce: str = "") -> dict[str, str]:
    return signed_headers(
        *(SERVER_KEY.key_id, SERVER_KEY.secret or ""),
        method="GET",
        path=path,
        body=b"",
        now_s=NOW_MS // 1000,
        nonce=nonce,
    )


def _collector(url: str, user_agents: UaParser) -> Client:
    application = create_collector(
        settings=Settings(),
        directory=Registered(),
        sink=ListSink(),
        cache=RedisTouchCache(None),
        user_agents=user_agents,
        clock_ms=lambda: NOW_MS,
        explain=partial(explain, make_engine(url)),
    )
    return TestClient(TestServer(application))


@pytest.fixture
async def client(database_url: str, user_agents: UaParser) -> AsyncIterator[Client]:
    migrate(database_url)
    write(
        database_url,
        an_attribution("shop:a/ü 1", app_id="shop", event_id="a/ü 1", credits=[CREDIT]),
        an_attribution("other:e9", app_id="other", event_id="e9"),
    )
    async with _collector(database_url, user_agents) as client:
        yield client


@pytest.mark.parametrize("name", ["shop:a/ü 1", "a/ü 1"])
async def test_a_server_is_told_how_its_conversion_was_decided(client: Client, name: str) -> None:
    response = await client.get(_path(name), headers=_signed(_path(name)))
    assert (response.status, response.content_type) == (200, "application/json")
    assert response.headers["Cache-Control"] == "no-store"
    told = msgspec.json.decode(await response.read(), type=Explanation)
    assert told.conversion_id == "shop:a/ü 1"
    assert [one.revision for one in told.revisions] == [1]
    assert [one.verdict for one in told.revisions[0].candidates] == ["chosen", "older"]
    assert told.credits == [CREDIT]


@pytest.mark.parametrize("name", ["other:e9", "e9", "none"])
async def test_what_is_not_the_apps_is_not_there(client: Client, name: str) -> None:
    response = await client.get(_path(name), headers=_signed(_path(name)))
    await refused(response, 404, "unknown_conversion")


async def test_only_a_servers_signature_will_do(client: Client) -> None:
    path = _path("a/ü 1")
    await refused(await client.get(path), 401, "unauthenticated")
    headers = {"X-Trackstream-Write-Key": WRITE_KEY.key_id}
    await refused(await client.get(path, headers=headers), 403, "forbidden")
    other = _signed(_path("other"))
    await refused(await client.get(path, headers=other), 401, "bad_signature")
    assert (await client.get(path, headers=_signed(path, "n"))).status == 200
    await refused(await client.get(path, headers=_signed(path, "n")), 409, "replayed")


async def test_while_the_database_is_away_it_is_said(user_agents: UaParser) -> None:
    async with _collector("postgresql://u@127.0.0.1:1/d", user_agents) as client:
        response = await client.get(_path("x"), headers=_signed(_path("x")))
        await refused(response, 503, "unavailable")
        assert "Retry-After" in response.headers


@pytest.mark.xdist_group("collector")
async def test_a_collector_has_its_database_asked(
    kafka_url: str, database_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        kafka_url=kafka_url,
        postgres_url=database_url,
        topic_prefix=topic_prefix,
        topic_partitions=2,
        master_key="ab" * 32,
        collector_port=free_port(),
    )
    key = registered_key(settings)
    write(database_url, an_attribution("shop:e1", app_id="shop"))
    path = _path("shop:e1")
    headers = signed_headers(
        *(key.key_id, key.secret or ""),
        method="GET",
        path=path,
        body=b"",
        now_s=int(time.time()),
        nonce=os.urandom(8).hex(),
    )
    with running(settings):
        async with client_of(settings) as session:
            await until_ready(session)
            async with session.get(path, headers=headers) as response:
                assert response.status == 200
                assert (await response.json())["conversion_id"] == "shop:e1"


@pytest.mark.parametrize("name", ["a\x00b", "a\nb"])
async def test_an_id_that_cannot_be_is_nobodys(client: Client, name: str) -> None:
    response = await client.get(URL(_path(name), encoded=True), headers=_signed(_path(name)))
    await refused(response, 404, "unknown_conversion")
