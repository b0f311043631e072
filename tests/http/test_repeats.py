"""What a click that repeats itself counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.http.service import ANDROID, IPHONE, Service, click, clicks, served
from trackstream.core.records import Touch
from trackstream.storage.cache import RedisTouchCache

if TYPE_CHECKING:
    from trackstream.storage.user_agents import UaParser


async def test_the_same_click_twice_counts_once_and_leads_to_the_same_page(
    service: Service,
) -> None:
    first = await click(service)
    again = await click(service)
    assert again.status == 302
    assert again.headers["Location"] == first.headers["Location"]
    assert "X-Trackstream-Click-Id" not in again.headers
    assert clicks(service) == {first.headers["X-Trackstream-Click-Id"]}
    assert await service.metric('touches_total{kind="click",result="repeat"}') == 1


async def test_a_click_that_repeats_another_gets_the_cookie_of_that(service: Service) -> None:
    async def cookie(**headers: str) -> str:
        service.client.session.cookie_jar.clear()
        response = await click(service, **headers)
        return str(response.cookies["trackstream_id"].value)

    first = await cookie()
    assert await cookie() == first  # both were sent before the browser had one
    own = "abcdefghijklmnop"
    assert await cookie(Cookie=f"trackstream_id={own}") == own  # somebody else's, of one network
    touched = {key for key, _ in service.sink.records("identity")}
    assert {key for key in touched if "cookie:" in key} == {f"shop|cookie:{first}"}


async def test_a_cookie_that_a_click_came_with_is_given_to_nobody_else(service: Service) -> None:
    theirs = "VICTIM-returning-visitor-0001"
    first = await click(service, Cookie=f"trackstream_id={theirs}")
    assert first.cookies["trackstream_id"].value == theirs
    service.client.session.cookie_jar.clear()
    again = await click(service)  # another's, behind the same address with the same browser
    assert again.headers["Location"] == first.headers["Location"]
    assert "trackstream_id" not in again.cookies


async def test_a_click_that_was_lost_makes_no_other_a_repeat(service: Service) -> None:
    service.sink.down = True
    await click(service)
    service.sink.down = False
    again = await click(service)
    assert clicks(service) == {again.headers["X-Trackstream-Click-Id"]}
    assert await service.metric('touches_total{kind="click",result="lost"}') == 1
    assert await service.metric('touches_total{kind="click",result="repeat"}') == 0


async def test_other_clicks_are_not_the_same(service: Service) -> None:
    for path, agent in (
        ("/c/sale", ANDROID),
        ("/c/sale", IPHONE),
        ("/c/sale?click_id=c-1", ANDROID),
        ("/c/sale?click_id=c-2", ANDROID),
        ("/v1/click?cid=cmp001", ANDROID),
    ):
        response = await click(service, path, **{"User-Agent": agent})
        assert "X-Trackstream-Click-Id" in response.headers
    assert len(clicks(service)) == 5


async def test_a_click_with_an_id_of_its_own_repeats_itself_too(service: Service) -> None:
    for _ in range(3):
        assert (await click(service, "/c/sale?click_id=c-1")).status == 302
    touches = [one for _, one in service.sink.records("identity")]
    assert len({one.touch_id for one in touches if isinstance(one, Touch)}) == 1


async def test_after_its_time_a_click_is_another(user_agents: UaParser) -> None:
    async with served(user_agents, click_repeat_ms=0) as service:
        await click(service)
        await click(service)
        assert len(clicks(service)) == 2


async def test_processes_know_each_others_clicks(redis_url: str) -> None:
    one, other = (RedisTouchCache(redis_url, timeout_s=5) for _ in range(2))
    try:
        assert await one.earlier_click("s", "c-1", 60_000) is None
        assert await other.earlier_click("s", "c-2", 60_000) == "c-1"
        assert await other.earlier_click("t", "c-3", 1) is None
        await other.forget_click("s", "c-2")
        assert await other.earlier_click("s", "c-2", 60_000) == "c-1"
        await one.forget_click("s", "c-1")
        assert await other.earlier_click("s", "c-2", 60_000) is None
        assert await other.earlier_click("s", "c-2", 60_000) is None  # asked again, not come again
    finally:
        await one.close()
        await other.close()
