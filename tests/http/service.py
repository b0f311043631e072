"""A collector for one test: its own app, keys and links, and a log that is a list."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp.test_utils import TestClient, TestServer

from trackstream import codec
from trackstream.core.records import Touch
from trackstream.core.rules import DEFAULT, Rules
from trackstream.core.signing import signed_headers
from trackstream.http.collector import create_collector
from trackstream.ports import App, Key, TrackingLink, Undelivered
from trackstream.settings import Settings
from trackstream.storage.cache import RedisTouchCache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientResponse, web

    from trackstream.core.records import Record
    from trackstream.ports import UserAgentLookup

NOW_MS = 1_752_148_800_000
SERVER_KEY = Key(
    key_id="k-server", app_id="shop", kind="server", secret="s3cret", scopes=("ingest", "read")
)
WRITE_KEY = Key(key_id="k-write", app_id="shop", kind="write", secret=None)
SITE_KEY = Key(
    key_id="k-site", app_id="shop", kind="write", secret=None, origins=("https://shop.example",)
)
ORPHAN_KEY = Key(key_id="k-orphan", app_id="gone", kind="write", secret=None)
OTHER_KEY = Key(key_id="k-other", app_id="other", kind="server", secret="0ther")
READING_KEY = Key(key_id="k-read", app_id="shop", kind="server", secret="r3ad", scopes=("read",))
ROTATED_KEY = Key(
    key_id="k-rotated",
    app_id="shop",
    kind="server",
    secret="n3w",
    previous_secret="0ld",
    previous_until_ms=NOW_MS + 60_000,
)
LINK = TrackingLink(
    link_id="l1",
    slug="sale",
    app_id="shop",
    campaign_id="cmp001",
    channel="paid_social",
    network="adnet",
    web_url="https://shop.example/sale?ref=ad",
    android_url="https://play.google.com/store/apps/details?id=com.example.shop",
    ios_url="https://apps.apple.com/app/id42",
    deep_link="shop://sale",
)
EXPIRED_LINK = msgspec.structs.replace(
    LINK, link_id="l2", slug="old", campaign_id="cmp000", expires_at_ms=NOW_MS
)
LINKS = (
    *(LINK, EXPIRED_LINK),
    *(
        msgspec.structs.replace(LINK, link_id=slug, slug=slug, app_id=app_id, campaign_id=campaign)
        for slug, app_id, campaign in (
            ("s1", "shop", "same"),
            ("o1", "other", "same"),
            ("o2", "other", "theirs"),
            ("g1", "gone", "gone"),
        )
    ),
    msgspec.structs.replace(EXPIRED_LINK, link_id="r2", slug="r2", campaign_id="renewed"),
    msgspec.structs.replace(LINK, link_id="r1", slug="r1", campaign_id="renewed"),
    msgspec.structs.replace(LINK, link_id="p1", slug="plain", campaign_id="plain", deep_link=None),
)
"""The newest of a campaign first."""
ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Mobile Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
EVENT: dict[str, Any] = {"event": "view", "user_id": "u1", "timestamp": NOW_MS}


class Registered:
    """`ports.Directory` with the apps, keys and links above, and these rules of apps."""

    def __init__(self) -> None:
        self.rules_of: dict[str, Rules] = {}

    def key(self, key_id: str) -> Key | None:
        servers = (SERVER_KEY, OTHER_KEY, READING_KEY, ROTATED_KEY)
        keys = (*servers, WRITE_KEY, SITE_KEY, ORPHAN_KEY)
        return next((key for key in keys if key.key_id == key_id), None)

    def app(self, app_id: str) -> App | None:
        return App(app_id=app_id, name=app_id) if app_id in {"shop", "other"} else None

    def link_by_slug(self, slug: str) -> TrackingLink | None:
        return next((link for link in LINKS if link.slug == slug), None)

    def links_by_campaign(self, campaign_id: str) -> tuple[TrackingLink, ...]:
        return tuple(link for link in LINKS if link.campaign_id == campaign_id)

    def rules(self, app_id: str, *, at_ms: int) -> Rules:
        return self.rules_of.get(app_id, DEFAULT)


class ListSink:
    """`ports.Sink` that keeps what it is sent; `down` makes it refuse."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes]] = []
        self.calls = 0
        self.down = False
        self.error: Undelivered = Undelivered("down")

    async def send(self, messages: list[tuple[str, bytes, bytes]]) -> None:
        self.calls += 1
        if self.down:
            raise self.error
        self.sent += messages

    def records(self, topic: str) -> list[tuple[str, Record]]:
        return [
            (key.decode(), codec.decode(value)) for name, key, value in self.sent if name == topic
        ]


class Service:
    """A running collector and a client of it."""

    def __init__(self, user_agents: UserAgentLookup, **settings: Any) -> None:
        numbers = itertools.count(1)
        settings.setdefault("cookie_consent", "assumed")
        self.sink = ListSink()
        self.cache = RedisTouchCache(None)
        self.directory = Registered()
        self.now_ms = NOW_MS
        self.missing: list[str] = []
        self.application: web.Application = create_collector(
            settings=Settings(**settings),
            directory=self.directory,
            sink=self.sink,
            cache=self.cache,
            user_agents=user_agents,
            clock_ms=lambda: self.now_ms,
            new_id=lambda: f"id-{next(numbers)}",
            missing=lambda: self.missing,
        )
        self._server = TestServer(self.application)
        self.client: TestClient[Any, Any] = TestClient(self._server)

    async def start(self, *, inflates: bool = False) -> None:
        await self._server.start_server(auto_decompress=inflates)

    async def stop(self) -> None:
        await self.client.close()

    async def post(self, path: str, value: Any = None, **options: Any) -> ClientResponse:
        """POST JSON, or the bytes `data`, with a write key unless `headers` say otherwise."""
        headers = {"X-Trackstream-Write-Key": WRITE_KEY.key_id, **options.pop("headers", {})}
        options.setdefault("data", msgspec.json.encode(value))
        headers.setdefault("Content-Type", "application/json")
        return await self.client.post(path, headers=headers, **options)

    async def signed(
        self,
        path: str,
        value: Any,
        *,
        now_s: int = NOW_MS // 1000,
        headers: dict[str, str] | None = None,
    ) -> ClientResponse:
        """POST JSON with a signature."""
        body = value if isinstance(value, bytes) else msgspec.json.encode(value)
        signature = signed_headers(
            SERVER_KEY.key_id,
            SERVER_KEY.secret or "",
            method="POST",
            path=path,
            body=body,
            now_s=now_s,
            nonce="n-1",
        )
        return await self.client.post(
            path,
            data=body,
            headers={"Content-Type": "application/json", **signature, **(headers or {})},
        )

    async def metric(self, line: str) -> float:
        """The value of one sample of `/metrics`, 0 when it is not there."""
        text = await (await self.client.get("/metrics")).text()
        prefix = f"trackstream_collector_{line} "
        found = [one for one in text.splitlines() if one.startswith(prefix)]
        return float(found[0].removeprefix(prefix)) if found else 0


@asynccontextmanager
async def served(user_agents: UserAgentLookup, **settings: Any) -> AsyncIterator[Service]:
    service = Service(user_agents, **settings)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def click(service: Service, path: str = "/c/sale", **headers: str) -> Any:
    headers.setdefault("User-Agent", ANDROID)
    return await service.client.get(path, allow_redirects=False, headers=headers)


def clicks(service: Service) -> set[str | None]:
    records = [one for _, one in service.sink.records("identity")]
    return {one.click_id for one in records if isinstance(one, Touch)}


async def refused(response: ClientResponse, status: int, reason: str) -> dict[str, Any]:
    """The problem document of a refused request."""
    document: dict[str, Any] = await response.json(content_type="application/problem+json")
    assert (response.status, document.get("reason")) == (status, reason), document
    assert document["status"] == status
    return document
