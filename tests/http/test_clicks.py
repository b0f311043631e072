import asyncio
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http.service import ANDROID, BOT, IPHONE, LINK, NOW_MS, Service, refused
from tests.waiting import PATIENCE_S
from trackstream import codec
from trackstream.core.campaigns import referrer_of
from trackstream.core.identifiers import fingerprint
from trackstream.core.records import Rejected, Touch
from trackstream.storage.user_agents import UaParser


async def visit(service: Service, path: str, agent: str = ANDROID, **headers: str) -> Any:
    return await service.client.get(
        path, allow_redirects=False, headers={"User-Agent": agent, **headers}
    )


def touches(service: Service) -> dict[str, Touch]:
    found = service.sink.records("identity")
    return {key: record for key, record in found if isinstance(record, Touch)}


async def test_a_click_is_recorded_under_each_identifier_and_redirected(service: Service) -> None:
    response = await visit(
        service, "/v1/click?cid=cmp001&adgroup=xyz&gaid=ABC&click_id=net-1&utm_source=news"
    )
    assert response.status == 302
    assert response.headers["X-Trackstream-Click-Id"] == "net-1"
    assert response.headers["Cache-Control"] == "no-store"
    location = response.headers["Location"]
    assert location.startswith("https://play.google.com/store/apps/details?id=com.example.shop&")
    referrer = dict(parse_qsl(urlsplit(location).query))["referrer"]
    assert referrer_of(referrer) == {"utm_source": "news", "trackstream_click_id": "net-1"}
    found = touches(service)
    cookie = response.cookies["trackstream_id"].value
    touch = found["shop|click:net-1"]
    assert set(found) == {f"shop|{one}" for one in touch.identifiers}
    assert touch.identifiers[:3] == ["click:net-1", "gaid:abc", f"cookie:{cookie}"]
    assert touch.identifiers[3].startswith("fp:")
    assert service.sink.records("raw") == [(f"shop|cookie:{cookie}", touch)]
    assert service.sink.calls == 1
    assert (touch.kind, touch.at_ms, touch.campaign_id) == ("click", NOW_MS, "cmp001")
    assert (touch.ad_group, touch.network, touch.link_id) == ("xyz", "adnet", "l1")
    assert (touch.ip, touch.user_agent, touch.os_name) == ("127.0.0.1", ANDROID, "Android")
    assert touch.destination == LINK.android_url
    assert await service.cache.deep_link("shop", "net-1", None) == "shop://sale"
    assert await service.cache.deep_link("shop", None, touch.identifiers[3]) == "shop://sale"
    assert await service.metric('touches_total{kind="click",result="recorded"}') == 1


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (ANDROID, "https://play.google.com/store/apps/details?id=com.example.shop&referrer="),
        (IPHONE, "https://apps.apple.com/app/id42?trackstream_click_id="),
        ("curl/8", "https://shop.example/sale?ref=ad&trackstream_click_id="),
    ],
)
async def test_each_system_is_sent_to_its_registered_place(
    service: Service, agent: str, expected: str
) -> None:
    response = await visit(service, "/c/sale", agent)
    assert response.headers["Location"].startswith(expected)


async def test_the_cookie_is_first_party_and_kept(service: Service, user_agents: UaParser) -> None:
    first = await visit(service, "/c/sale")
    cookie = first.cookies["trackstream_id"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert not cookie["secure"]
    assert (cookie["path"], cookie["max-age"]) == ("/", str(365 * 86_400))
    service.client.session.cookie_jar.clear()
    again = await visit(service, "/c/sale", Cookie=f"trackstream_id={cookie.value}")
    assert again.cookies["trackstream_id"].value == cookie.value
    for settings_, present, secure in (
        ({"cookie_max_age_days": 0}, False, False),
        ({"public_url": "https://go.shop.example"}, True, True),
    ):
        other = Service(user_agents, **settings_)
        await other.start()
        cookies = (await visit(other, "/c/sale")).cookies
        assert ("trackstream_id" in cookies) is present
        assert not secure or cookies["trackstream_id"]["secure"]
        await other.stop()


@pytest.mark.parametrize(
    ("agent", "headers", "result"),
    [
        (ANDROID, {"Sec-Purpose": "prefetch;prerender"}, "prefetch"),
        (ANDROID, {"Purpose": "prefetch"}, "prefetch"),
        (ANDROID, {"X-Moz": "prefetch"}, "prefetch"),
        (ANDROID, {"Purpose": "preview"}, "prefetch"),
        (ANDROID, {"X-Purpose": "Preview"}, "prefetch"),
        (ANDROID, {"Sec-Purpose": "prerender"}, "prefetch"),
        (ANDROID, {"X-Purpose": "instant, prefetch"}, "prefetch"),
    ],
)
async def test_who_does_not_click_is_redirected_and_counted(
    service: Service, agent: str, headers: dict[str, str], result: str
) -> None:
    response = await visit(service, "/c/sale", agent, **headers)
    assert response.status == 302
    assert "X-Trackstream-Click-Id" not in response.headers
    assert "Set-Cookie" not in response.headers
    assert service.sink.sent == []
    assert await service.metric(f'touches_total{{kind="click",result="{result}"}}') == 1


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [("/c/sale?utm_term=x", "click", 302), ("/v1/impression?cid=cmp001", "impression", 200)],
)
async def test_a_robot_is_answered_and_recorded_as_one(
    service: Service, path: str, kind: str, status: int
) -> None:
    response = await visit(service, path, BOT)
    assert response.status == status
    assert "X-Trackstream-Click-Id" not in response.headers
    assert "Set-Cookie" not in response.headers
    assert touches(service) == {}
    [(topic, key, value)] = service.sink.sent
    record = codec.decode(value)
    assert isinstance(record, Rejected)
    assert (topic, key) == ("rejected", b"shop")
    assert (record.app_id, record.stage, record.reasons) == ("shop", "collector", ["bot"])
    assert (record.user_agent, record.ip, record.origin) == (BOT, "127.0.0.1", None)
    assert msgspec.json.decode(record.payload) == {
        "kind": kind,
        "link_id": "l1",
        "slug": "sale",
        "campaign_id": "cmp001",
        "url": path,
        "user_agent": BOT,
        "ip": "127.0.0.1",
        "at_ms": NOW_MS,
    }
    assert await service.metric(f'touches_total{{kind="{kind}",result="bot"}}') == 1
    assert await service.metric('refusals_total{reason="bot"}') == 1

    service.sink.down = True
    again = await visit(service, path, BOT)
    assert again.status == status
    assert await service.metric('refusals_total{reason="unavailable"}') == 1


async def test_head_makes_no_touch(service: Service) -> None:
    response = await service.client.head(
        "/c/sale", allow_redirects=False, headers={"User-Agent": ANDROID}
    )
    assert response.status == 302
    assert service.sink.sent == []


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/v1/click", 422, "missing_field"),
        ("/v1/click?cid=", 422, "missing_field"),
        ("/v1/click?cid=nope", 404, "unknown_link"),
        ("/c/nope", 404, "unknown_link"),
        ("/c/%00%FF", 404, "unknown_link"),
        ("/c/old", 410, "expired_link"),
        ("/v1/click?cid=cmp000", 410, "expired_link"),
        ("/v1/impression?cid=nope", 404, "unknown_link"),
        ("/v1/impression?cid=cmp000", 410, "expired_link"),
        ("/v1/click?cid=same", 409, "ambiguous_link"),
        ("/v1/impression?cid=same", 409, "ambiguous_link"),
        ("/v1/click?cid=same&app_id=nope", 404, "unknown_link"),
        ("/v1/click?cid=same&app=nope", 404, "unknown_link"),
        ("/v1/click?cid=theirs&app_id=shop", 404, "unknown_link"),
        ("/v1/click?cid=gone", 404, "unknown_link"),
    ],
)
async def test_links_that_are_not_there_are_problems(
    service: Service, path: str, status: int, reason: str
) -> None:
    await refused(await visit(service, path), status, reason)
    assert await service.metric(f'refusals_total{{reason="{reason}"}}') == 1


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/v1/click?cid=same&app_id=shop&click_id=1", "shop|click:1"),
        ("/v1/click?cid=same&app_id=other&click_id=1", "other|click:1"),
        ("/v1/click?cid=same&app=other&click_id=1", "other|click:1"),
        ("/v1/click?cid=theirs&app=shop&click_id=1", "other|click:1"),
        ("/v1/click?cid=renewed&click_id=1", "shop|click:1"),
        ("/c/o1?app_id=shop&click_id=1", "other|click:1"),
    ],
)
async def test_a_campaign_of_several_apps_and_links_leads_to_the_one_that_is_meant(
    service: Service, path: str, key: str
) -> None:
    assert (await visit(service, path)).status == 302
    assert key in touches(service)


async def test_a_click_id_that_cannot_be_one_is_replaced(service: Service) -> None:
    response = await visit(service, "/c/sale?click_id=%7Bclick_id%7D")
    assert response.headers["X-Trackstream-Click-Id"].startswith("id-")


async def test_a_visitor_is_redirected_while_the_log_is_away(service: Service) -> None:
    service.sink.down = True
    response = await visit(service, "/c/sale")
    assert response.status == 302
    assert "X-Trackstream-Click-Id" not in response.headers
    assert await service.metric('touches_total{kind="click",result="lost"}') == 1
    assert await service.metric('refusals_total{reason="unavailable"}') == 1


async def test_a_visitor_does_not_wait_long_for_the_log(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck(messages: object) -> None:
        await asyncio.sleep(PATIENCE_S)

    monkeypatch.setattr("trackstream.http.clicks._CLICK_TIMEOUT_S", 0.05)
    monkeypatch.setattr(service.sink, "send", stuck)
    assert (await visit(service, "/c/sale")).status == 302


async def test_an_impression_is_a_pixel_and_a_touch(service: Service) -> None:
    response = await visit(service, "/v1/impression?cid=cmp001&idfa=AB-1")
    body = await response.read()
    assert (response.status, response.content_type, len(body)) == (200, "image/gif", 43)
    assert body.startswith(b"GIF89a\x01\x00\x01\x00")
    assert "Set-Cookie" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"
    found = touches(service)
    assert {key.partition(":")[0] for key in found} == {"shop|idfa", "shop|fp"}
    assert {one.kind for one in found.values()} == {"impression"}
    await visit(service, "/v1/impression?cid=cmp001", BOT)
    assert touches(service) == found
    service.sink.down = True
    await refused(await visit(service, "/v1/impression?cid=cmp001"), 503, "unavailable")


@pytest.mark.parametrize("objection", ["Sec-GPC", "DNT"])
async def test_who_objects_is_found_by_what_it_names_alone(
    service: Service, objection: str
) -> None:
    async def seen(path: str, said: str) -> list[str]:
        service.sink.sent.clear()
        headers = {"User-Agent": ANDROID, objection: said}
        await service.client.get(path, headers=headers, allow_redirects=False)
        found = touches(service)
        identifiers = [key.partition("|")[2] for key in found]
        assert all(one.identifiers == identifiers for one in found.values())
        return identifiers

    async def deep_links() -> list[str | None]:
        print_ = fingerprint("127.0.0.1", "Android")
        return [
            await service.cache.deep_link("shop", click_id, on)
            for click_id, on in (("n-1", None), (None, print_))
        ]

    assert await seen("/c/sale?click_id=n-1&gaid=G", "1") == ["click:n-1", "gaid:g"]
    assert await deep_links() == ["shop://sale", None]
    (unguessable,) = await seen("/v1/impression?cid=cmp001", "1")
    assert unguessable.startswith("click:id-")
    assert await seen("/v1/impression?cid=cmp001&idfa=I", "1") == ["idfa:i"]
    (own,) = await seen("/v1/impression?cid=cmp001", "0")
    assert own == fingerprint("127.0.0.1", "Android")


async def test_no_query_opens_a_redirect_to_elsewhere(service: Service) -> None:
    loop = asyncio.get_running_loop()
    names = st.sampled_from(
        [
            "url",
            "redirect",
            "web_url",
            "deep_link",
            "cid",
            "slug",
            "utm_source",
            "gclid",
            "click_id",
        ]
    )
    values = st.sampled_from(
        ["https://evil.example", "//evil.example", "javascript:alert(1)", "a\r\nLocation: //evil"]
    )

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(st.tuples(names | st.text(max_size=5), values | st.text(max_size=20))),
        st.sampled_from([ANDROID, IPHONE, "curl/8"]),
    )
    def attack(pairs: list[tuple[str, str]], agent: str) -> None:
        query = "&".join(
            f"{quote(name, errors='replace')}={quote(value, errors='replace')}"
            for name, value in pairs
        )

        async def once() -> str:
            response = await visit(service, f"/c/sale?{query}", agent)
            assert response.status == 302
            return str(response.headers["Location"])

        location = asyncio.run_coroutine_threadsafe(once(), loop).result(10)
        base = location.partition("?")[0]
        assert base in {
            "https://shop.example/sale",
            "https://play.google.com/store/apps/details",
            "https://apps.apple.com/app/id42",
        }

    await asyncio.to_thread(attack)


async def test_headers_that_are_not_utf8_are_stored_as_what_can_be(service: Service) -> None:
    url = service.client.make_url("/c/sale?utm_source=%FF%00")
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        b"GET /c/sale?utm_source=%FF%00 HTTP/1.1\r\nHost: a\r\nUser-Agent: Android \xff\xfe\r\n"
        b"Accept-Language: \xff\r\nCookie: \xff\r\nConnection: close\r\n\r\n"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert head.startswith(b"HTTP/1.1 302")
    (touch, *_) = touches(service).values()
    assert touch.user_agent == "Android ��"
    assert touch.campaign is not None
    assert touch.campaign.utm_source == "��"
