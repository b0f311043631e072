"""What is remembered of earlier clicks changes no byte of later ones."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream import codec
from trackstream.core.campaigns import marks
from trackstream.core.lookups import UserAgent
from trackstream.core.touches import Visit, identifiers_of, touch_of
from trackstream.http.touch_bytes import TouchBytes
from trackstream.ports import TrackingLink

LINKS = [
    TrackingLink(
        link_id="l1", slug="a", app_id="shop", campaign_id="c", web_url="https://a.example"
    ),
    TrackingLink(
        link_id="l1",  # the same one, changed since
        slug="a",
        app_id="shop",
        campaign_id="c",
        channel="social",
        deep_link="shop://sale",
        web_url="https://b.example",
    ),
    TrackingLink(
        link_id="l1",  # and once more: a click may name its own
        slug="a",
        app_id="shop",
        campaign_id="c",
        channel="social",
        network="adnet",
        ad_group="g",
        deep_link="shop://sale",
        web_url="https://b.example",
        overridable=("channel", "ad_group"),
    ),
]
AGENTS = [UserAgent(), UserAgent(os_name="Android", os_version="14", device_model="K")]
NAMES = [
    "click_id", "user_id", "device_id", "gaid", "idfa", "idfv", "ad_group", "adgroup", "creative",
    "keyword", "sub_id", "sub_publisher", "channel", "network", "timezone", "screen", "cost",
    "currency", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "gclid",
    "fbclid", "other",
]  # fmt: skip
VALUES = st.sampled_from(
    ["1", "0.25", "EUR", "1080x2400", "{macro}", "null", "\0", "a b", "ü" * 600]
)


class Click(msgspec.Struct, frozen=True):
    kind: str
    link: int
    agent: int
    user_agent: str | None
    at_ms: int
    ip: str | None
    language: str | None
    cookie_id: str | None
    country: str | None
    objects: bool
    query: dict[str, str]
    touch_id: str
    own_id: str


CLICK = Click(
    kind="click",
    link=0,
    agent=0,
    user_agent="a",
    at_ms=1,
    ip="203.0.113.9",
    language="en",
    cookie_id="k" * 32,
    country="AT",
    objects=False,
    query={},
    touch_id="t1",
    own_id="c1",
)
CLICKS = st.builds(
    Click,
    kind=st.sampled_from(["click", "impression"]),
    link=st.sampled_from(range(len(LINKS))),
    agent=st.sampled_from(range(len(AGENTS))),
    user_agent=st.sampled_from([None, "a", "b"]),
    at_ms=st.integers(0, 2**45),
    ip=st.sampled_from([None, "203.0.113.9", "2001:db8::1"]),
    language=st.sampled_from([None, "de"]),
    cookie_id=st.none() | st.just("k" * 32),
    country=st.sampled_from([None, "AT"]),
    objects=st.booleans(),
    query=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4),
    touch_id=st.sampled_from(["t1", "t2"]),
    own_id=st.sampled_from(["c1", "c2"]),
)


@given(clicks=st.lists(CLICKS, min_size=2, max_size=12))
def test_touches_are_written_as_they_are(clicks: list[Click]) -> None:
    assert_same(clicks)


@pytest.mark.parametrize("base", [{}, {"gclid": "1"}, {"utm_source": "x", "fbclid": "1"}])
@pytest.mark.parametrize("name", NAMES)
def test_no_part_of_a_query_is_taken_from_another_click(base: dict[str, str], name: str) -> None:
    values = {"cost": ("0.25", "1"), "currency": ("EUR", "USD"), "screen": ("10x20", "30x40")}
    queries = [base, *({**base, name: value} for value in values.get(name, ("one", "two"))), base]
    assert_same([msgspec.structs.replace(CLICK, query=query) for query in queries])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("kind", "impression"), ("link", 1), ("agent", 1), ("user_agent", "b"), ("at_ms", 2)),
        *(("ip", None), ("language", "de"), ("cookie_id", None), ("country", None)),
        ("objects", True),
    ],
)
def test_no_part_of_a_request_is_taken_from_another_click(name: str, value: object) -> None:
    assert_same([CLICK, msgspec.structs.replace(CLICK, **{name: value}), CLICK])


@pytest.mark.parametrize("name", ["channel", "network", "ad_group", "adgroup"])
def test_what_a_changed_link_lets_a_click_name_is_looked_at_anew(name: str) -> None:
    named = msgspec.structs.replace(CLICK, query={name: "own"})
    assert_same(
        [msgspec.structs.replace(one, link=link) for link in (1, 2) for one in (CLICK, named)]
    )


def assert_same(clicks: list[Click]) -> None:
    """That each is written as if there had been no others, also when all of them were seen."""
    written = TouchBytes()
    for one in clicks * 3:
        visit = Visit(
            at_ms=one.at_ms,
            ip=one.ip,
            user_agent=one.user_agent,
            agent=AGENTS[one.agent],
            language=one.language,
            cookie_id=one.cookie_id,
            country=one.country,
            objects=one.objects,
        )
        link = LINKS[one.link]
        click_id = one.query.get("click_id", one.own_id)
        destination = link.web_url if one.kind == "click" else None
        expected = touch_of(
            one.kind,
            link,
            visit,
            one.query,
            touch_id=one.touch_id,
            click_id=click_id,
            destination=destination,
        )
        found = written.of(
            one.kind,
            link,
            visit,
            one.query,
            marks(one.query),
            touch_id=one.touch_id,
            click_id=click_id,
            identifiers=identifiers_of(one.kind, visit, one.query, click_id=click_id),
            destination=destination,
        )
        assert codec.decode(found) == expected
        assert found == codec.encode(expected)
