import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream import codec
from trackstream.core.campaigns import query_of
from trackstream.core.envelopes import subject_of_event
from trackstream.core.lookups import UserAgent
from trackstream.core.records import RawEvent, Touch
from trackstream.core.touch_query import click_id_of
from trackstream.core.touches import (
    Visit,
    keys_of,
    language_of,
    subject_of_touch,
    touch_of,
)


class ShopLink(msgspec.Struct, frozen=True, kw_only=True):
    link_id: str = "l1"
    app_id: str = "shop"
    campaign_id: str = "cmp001"
    channel: str | None = None
    network: str | None = "adnet"
    ad_group: str | None = None
    deep_link: str | None = "shop://sale"
    overridable: tuple[str, ...] = ()


VISIT = Visit(
    at_ms=1_752_148_800_000,
    ip="203.0.113.9",
    user_agent="agent",
    agent=UserAgent(os_name="Android", os_version="14"),
    language="de-DE",
    cookie_id="k1",
    country="AT",
)


def touch(query: str, kind: str = "click", link: ShopLink | None = None) -> Touch:
    return touch_of(
        kind,
        link or ShopLink(),
        VISIT,
        query_of("?" + query),
        touch_id="t1",
        click_id="c1",
        destination="https://shop.example",
    )


def test_every_identifier_of_the_url_is_a_key() -> None:
    found = touch("device_id=D1&gaid=ABC&idfa=&idfv=v&user_id=u%401")
    assert found.identifiers[:6] == [
        "click:c1", "user:u@1", "device:D1", "gaid:abc", "idfv:v", "cookie:k1",
    ]  # fmt: skip
    assert found.identifiers[6].startswith("fp:")
    assert keys_of(found) == [f"shop|{one}" for one in found.identifiers]


@pytest.mark.parametrize(
    ("identifiers", "subject"),
    [
        (["click:c", "user:u", "device:d", "gaid:g", "cookie:k", "fp:f"], "device:d"),
        (["click:c", "user:u", "gaid:g", "cookie:k", "fp:f"], "cookie:k"),
        (["click:c", "gaid:g", "user:u"], "user:u"),
        (["click:c", "idfv:v", "idfa:i", "fp:f"], "idfa:i"),
        (["click:c", "fp:f"], None),
    ],
)
def test_a_touch_has_the_subject_that_its_events_would_have(
    identifiers: list[str], subject: str | None
) -> None:
    found = msgspec.structs.replace(touch(""), identifiers=identifiers)
    assert subject_of_touch(found) == (subject and f"shop|{subject}")
    named = {one.partition(":")[0]: one.partition(":")[2] for one in identifiers}
    ids = {f"{kind}_id": named[kind] for kind in ("device", "cookie", "user") if kind in named}
    ids |= {kind: named[kind] for kind in ("gaid", "idfa", "idfv") if kind in named}
    if subject:
        event = RawEvent(event_id="e", event="e", timestamp_ms=1, **ids)  # type: ignore[arg-type] # text alone
        assert subject_of_touch(found) == subject_of_event("shop", event)


@pytest.mark.parametrize(
    "value",
    ["{gaid}", "%7Bgaid%7D", "__GAID__", "%25%25GAID%25%25", "$GAID", "<gaid>", "[gaid]",
     "00000000-0000-0000-0000-000000000000", "null", "%00"],
)  # fmt: skip
def test_unfilled_macros_and_ids_of_nobody_count_as_absent(value: str) -> None:
    found = touch(f"gaid={value}&device_id={value}&user_id={value}")
    assert [one.partition(":")[0] for one in found.identifiers] == ["click", "cookie", "fp"]


def test_what_the_request_shows_is_in_the_touch() -> None:
    found = touch("")
    assert (found.ip, found.country, found.language) == ("203.0.113.9", "AT", "de-DE")
    assert (found.os_name, found.os_version, found.user_agent) == ("Android", "14", "agent")


@pytest.mark.parametrize(
    ("query", "screen"),
    [("screen=1080x2400", "1080x2400"), ("screen=2400x1080", "1080x2400"), ("screen=big", None)],
)
def test_a_page_that_links_can_say_its_screen_and_timezone(query: str, screen: str | None) -> None:
    found = touch(f"timezone=Europe/Vienna&{query}")
    assert (found.timezone, found.screen) == ("Europe/Vienna", screen)


def test_the_form_of_the_brief_is_understood() -> None:
    assert touch("cid=cmp001&adgroup=xyz").ad_group == "xyz"


OWN_NAMES = "channel=email&network=other&ad_group=b"


@pytest.mark.parametrize(
    ("overridable", "expected"),
    [
        ((), ("social", "adnet", "a")),
        (("ad_group",), ("social", "adnet", "b")),
        (("channel",), ("email", "adnet", "a")),
        (("network",), ("social", "other", "a")),
        (("channel", "network", "ad_group"), ("email", "other", "b")),
    ],
)
def test_what_a_link_registers_stands_unless_it_lets_a_click_name_its_own(
    overridable: tuple[str, ...], expected: tuple[str, str, str]
) -> None:
    registered = ShopLink(channel="social", ad_group="a", overridable=overridable)
    found = touch(OWN_NAMES, link=registered)
    assert (found.channel, found.network, found.ad_group) == expected
    if "ad_group" in overridable:
        assert touch("adgroup=c", link=registered).ad_group == "c"
    if "channel" in overridable:
        found = touch(OWN_NAMES + "&utm_source=x", link=registered)
        assert found.campaign is not None
        assert found.campaign.channel == "email"


@pytest.mark.parametrize("overridable", [(), ("channel", "network", "ad_group")])
def test_what_a_click_does_not_name_is_the_links(overridable: tuple[str, ...]) -> None:
    registered = ShopLink(channel="social", ad_group="a", overridable=overridable)
    found = touch("channel={channel}&network=&other=1", link=registered)
    assert (found.channel, found.network, found.ad_group) == ("social", "adnet", "a")


def test_what_a_link_does_not_register_comes_from_the_click() -> None:
    found = touch(OWN_NAMES, link=ShopLink(network=None))
    assert (found.channel, found.network, found.ad_group) == ("email", "other", "b")


def test_an_impression_has_a_click_key_only_for_the_networks_own_id() -> None:
    assert "click:c1" not in touch("", kind="impression").identifiers
    assert "click:c1" in touch("click_id=c1", kind="impression").identifiers


def test_cost_is_exact() -> None:
    found = touch("cost=0.1&currency=eur")
    assert (found.cost_micros, found.currency) == (100_000, "EUR")
    refused = touch("cost=-1&currency=euro")
    assert (refused.cost_micros, refused.currency) == (None, None)


def test_campaign_is_what_the_query_names() -> None:
    campaign = touch("utm_source=news&GCLID=g1").campaign
    assert campaign is not None
    assert (campaign.utm_source, campaign.click_ids) == ("news", {"gclid": "g1"})
    assert touch("").campaign is None


def test_click_ids_have_to_be_sane() -> None:
    assert click_id_of({"click_id": "abc-1"}) == "abc-1"
    assert click_id_of({"clickid": "abc-1"}) == "abc-1"
    assert click_id_of({"click_id": "{click_id}"}) is None
    assert click_id_of({"click_id": "a" * 129}) is None


def test_the_first_language_is_taken() -> None:
    assert language_of("de-DE,de;q=0.9,en;q=0.8") == "de-DE"
    assert language_of("*") is None
    assert language_of(None) is None


@given(st.text(max_size=400), st.sampled_from(["click", "impression"]))
def test_any_query_makes_a_touch_that_travels(query: str, kind: str) -> None:
    found = touch(query, kind)
    assert codec.decode(codec.encode(found)) == found
    assert all("\0" not in one for one in found.identifiers)
    assert len(set(found.identifiers)) == len(found.identifiers)
