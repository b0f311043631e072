from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream.core.campaigns import CLICK_ID, marks, query_of, referrer_of
from trackstream.core.redirects import destination_of, location_of

WEB = "https://shop.example/landing?ref=newsletter&utm_source=fixed#top"
PLAY = "https://play.google.com/store/apps/details?id=com.example"
STORE = "https://apps.apple.com/app/id1"


@pytest.mark.parametrize(
    ("os_name", "expected"),
    [
        ("Android", PLAY),
        ("iOS", STORE),
        ("iPadOS", STORE),
        ("Mac OS X", WEB),
        ("Windows", WEB),
        (None, WEB),
    ],
)
def test_each_system_has_its_destination(os_name: str | None, expected: str) -> None:
    assert destination_of(os_name, web_url=WEB, android_url=PLAY, ios_url=STORE) == expected


def test_the_web_page_stands_in_for_a_store_that_is_not_registered() -> None:
    assert destination_of("Android", web_url=WEB, android_url=None, ios_url=None) == WEB
    assert destination_of("iOS", web_url=WEB, android_url=PLAY, ios_url=None) == WEB


def test_a_page_keeps_its_query_and_fragment_and_gains_the_marks() -> None:
    location = location_of(
        WEB, click_id="c-1", marks={"utm_source": "ad", "utm_medium": "cpc", "gclid": "g 1"}
    )
    assert location == (
        "https://shop.example/landing?ref=newsletter&utm_source=fixed"
        "&utm_medium=cpc&gclid=g+1&trackstream_click_id=c-1#top"
    )


def test_play_gets_one_encoded_referrer() -> None:
    location = location_of(PLAY, click_id="c-1", marks={"utm_source": "ad"})
    query = dict(parse_qsl(urlsplit(location).query))
    assert query["id"] == "com.example"
    assert referrer_of(query["referrer"]) == {"utm_source": "ad", CLICK_ID: "c-1"}
    assert location.count("&") == 1


@pytest.mark.parametrize(
    "play",
    [
        "https://Play.Google.com/store/apps/details?id=a.b",
        "HTTPS://play.google.com/store/apps/details?id=a.b",
        "http://play.google.com:80/store/apps/details?id=a.b",
        "Market://details?id=a.b",
        "https://play.google.com?id=a.b",
    ],
)
def test_play_is_known_however_it_is_written(play: str) -> None:
    location = location_of(play, click_id="c", marks={})
    assert location == f"{play}&referrer=trackstream_click_id%3Dc"


@pytest.mark.parametrize(
    "other",
    [
        "https://play.google.com.evil.example/",
        "https://play.google.com@evil.example/",
        "https://xplay.google.com/",
        "shop://play.google.com/",
    ],
)
def test_what_only_looks_like_play_is_not(other: str) -> None:
    assert location_of(other, click_id="c", marks={}) == f"{other}?trackstream_click_id=c"


@pytest.mark.parametrize(
    ("registered", "place"),
    [
        ("https://münchen.example/ä?ü=1", "https://xn--mnchen-3ya.example/%C3%A4?%C3%BC=1&"),
        ("https://MÜNCHEN.example:8443", "https://xn--mnchen-3ya.example:8443?"),
        ("https://ü:p@münchen.example/", "https://%C3%BC:p@xn--mnchen-3ya.example/?"),
        ("http://[2001:db8::1]:80/", "http://[2001:db8::1]:80/?"),
        ("https://straße.example/", "https://xn--strae-oqa.example/?"),
        ("https://a\u2024b..\ud800/", "https://a%E2%80%A4b..?/?"),
        ("shop://münchen/", "shop://m%C3%BCnchen/?"),
    ],
)
def test_a_host_is_named_as_dns_has_it(registered: str, place: str) -> None:
    assert location_of(registered, click_id="c", marks={}) == f"{place}trackstream_click_id=c"


def test_a_registered_referrer_is_kept_inside_the_referrer() -> None:
    location = location_of(
        PLAY + "&referrer=utm_source%3Dfixed", click_id="c", marks={"utm_source": "ad"}
    )
    query = dict(parse_qsl(urlsplit(location).query))
    assert referrer_of(query["referrer"]) == {"utm_source": "fixed", CLICK_ID: "c"}


def test_an_old_click_id_in_the_destination_gives_way() -> None:
    location = location_of("https://a.example/?trackstream_click_id=old", click_id="c", marks={})
    assert location == "https://a.example/?trackstream_click_id=c"


@pytest.mark.parametrize("destination", [WEB, PLAY, STORE, "https://münchen.example/weg ?a=ü"])
@given(raw=st.text(max_size=300))
def test_no_query_leads_anywhere_else(destination: str, raw: str) -> None:
    query = query_of("/c/x?" + raw)
    location = location_of(destination, click_id="c-1", marks=marks(query))
    assert location.isascii()
    assert location.isprintable()
    assert " " not in location
    base = location_of(destination, click_id="c-1", marks={}).partition("?")[0]
    assert location.startswith(base + "?")
    assert urlsplit(location).netloc == urlsplit(base).netloc
    kept = dict(parse_qsl(urlsplit(destination).query))
    given_back = dict(parse_qsl(urlsplit(location).query))
    assert kept.items() <= given_back.items()


@given(
    st.dictionaries(
        st.sampled_from(["utm_source", "utm_term", "gclid", "fbclid"]),
        st.text(min_size=1, max_size=50),
    )
)
def test_what_play_hands_to_the_app_is_what_was_clicked(found: dict[str, str]) -> None:
    cleaned = marks(found)
    location = location_of(PLAY, click_id="c-1", marks=cleaned)
    referrer = dict(parse_qsl(urlsplit(location).query))["referrer"]
    assert referrer_of(referrer) == {**cleaned, CLICK_ID: "c-1"}
