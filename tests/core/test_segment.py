"""Segment's messages, as its spec and its libraries have them, in our words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.segmented import (
    ANDROID,
    IOS,
    NOW,
    NOW_MS,
    VENDOR_ID,
    accepted,
    app,
    parsed,
    track,
)
from tests.core.visiting import apply, envelope
from trackstream.core.reasons import Reason
from trackstream.core.records import Campaign, Referral
from trackstream.core.rules import DEFAULT
from trackstream.core.segment import EVENT_NAMES, TYPES
from trackstream.core.validation import ParsedEvent
from trackstream.core.visits import passed


def test_a_browsers_track_call() -> None:
    message = track(
        "Article Read",
        {"title": "How to sew", "words": 1200},
        messageId="ajs-next-17",
        userId="u-1",
        sentAt="2025-07-10T12:00:01.500Z",
        integrations={"All": True},
        writeKey="secret",
        _metadata={"bundled": ["Segment.io"]},
        context={
            "page": {
                "path": "/sewing",
                "referrer": "https://search.example/",
                "search": "?gclid=g1",
                "title": "Sewing",
                "url": "https://blog.example/sewing?gclid=g1",
            },
            "campaign": {
                "name": "spring", "source": "news", "medium": "email", "term": "thread",
                "content": "top", "id": "cmp-7", "reader": "yes",
            },
            "userAgent": "Mozilla/5.0",
            "locale": "de-DE",
            "timezone": "Europe/Berlin",
            "library": {"name": "analytics.js", "version": "npm:next-1.84.3"},
            "consent": {"categoryPreferences": {"Advertising": False}},
            "direct": True,
        },
    )  # fmt: skip
    found = parsed(message)
    assert isinstance(found.result, ParsedEvent)
    event, context = found.result.event, found.result.event.context
    assert (event.event_id, event.event, event.timestamp_ms) == (
        "ajs-next-17", "Article Read", NOW_MS,
    )  # fmt: skip
    assert (event.user_id, event.cookie_id, event.device_id) == ("u-1", "anon-1", None)
    assert json.loads(event.properties) == {"title": "How to sew", "words": 1200}
    assert event.campaign == Campaign(
        campaign_id="cmp-7",
        utm_campaign="spring",
        utm_source="news",
        utm_medium="email",
        utm_term="thread",
        utm_content="top",
        click_ids={"gclid": "g1"},
    )
    assert context is not None
    assert (context.page_url, context.page_title) == (
        "https://blog.example/sewing?gclid=g1", "Sewing",
    )  # fmt: skip
    assert (context.locale, context.timezone) == ("de-DE", "Europe/Berlin")
    assert context.sdk == "analytics.js/npm:next-1.84.3"
    assert context.consent == {"Advertising": False}
    assert json.loads(context.extra or "") == {
        "direct": True,
        "page": {"path": "/sewing", "search": "?gclid=g1"},
        "$campaign": {"reader": "yes"},
        "$event": {"integrations": {"All": True}},
    }
    assert (found.result.sent_at_ms, found.result.user_agent) == (NOW_MS + 1500, "Mozilla/5.0")
    assert (found.address_is_users, found.agent_is_users) == (True, True)


def test_an_apps_devices_are_identifiers() -> None:
    device = {
        "id": VENDOR_ID, "advertisingId": "A-D", "adTrackingEnabled": True, "model": "iPhone15,2",
        "manufacturer": "Apple", "type": "ios", "token": "push",
    }  # fmt: skip
    event = accepted(app("Played", os=IOS, device=device, app={"version": "2.1", "build": 7}))
    assert (event.device_id, event.idfv, event.idfa, event.gaid, event.cookie_id) == (
        VENDOR_ID, VENDOR_ID, "A-D", None, "anon-1",
    )  # fmt: skip
    context = event.context
    assert context is not None
    assert (context.device_model, context.device_manufacturer) == ("iPhone15,2", "Apple")
    assert context.device_type == "ios"
    assert (context.os_name, context.os_version, context.app_version) == ("iOS", "17.5", "2.1")
    extra = json.loads(context.extra or "")
    assert extra["device"] == {"adTrackingEnabled": True, "token": "push"}
    android = accepted(app("Played", device={"id": "d-1", "advertisingId": "A-D"}))
    assert (android.device_id, android.gaid, android.idfa) == ("d-1", "A-D", None)
    limited = {"id": "d-1", "advertisingId": "A-D", "adTrackingEnabled": False}
    assert accepted(app("Played", device=limited)).gaid is None


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ({"context": {"library": {"name": "analytics.js"}}}, (True, True)),
        ({"context": {"library": {"name": "RudderLabs JavaScript SDK"}}}, (True, True)),
        ({}, (True, True)),
        ({"context": {"library": {"name": "analytics-swift"}}}, (True, False)),
        ({"context": {"library": "analytics-react-native"}}, (True, False)),
        ({"context": {"os": ANDROID, "device": {"id": "d"}}}, (True, False)),
        ({"context": {"library": {"name": "analytics-python"}}}, (False, False)),
        ({"context": {"library": {"name": "@segment/analytics-node"}}}, (False, False)),
        ({"context": {"library": {"name": "audios-exporter"}}}, (False, False)),
        ({"channel": "server"}, (False, False)),
        ({"context": {"channel": "mobile", "library": {"name": "x"}}}, (True, False)),
        ({"context": {"ip": "0.0.0.0"}}, (False, True)),
    ],
)
def test_only_some_requests_show_their_user(message: Any, shown: tuple[bool, bool]) -> None:
    found = parsed(track("x", **message))
    assert (found.address_is_users, found.agent_is_users) == shown


@pytest.mark.parametrize(("theirs", "ours"), EVENT_NAMES.items())
def test_well_known_names_become_ours_and_others_stay(theirs: str, ours: str) -> None:
    assert accepted(track(theirs)).event == ours
    assert accepted(track(theirs.lower())).event == theirs.lower()


def test_an_install_brings_its_referrer() -> None:
    referrer = "utm_source=ads&utm_campaign=launch&trackstream_click_id=c-9"
    times = {"referrer_click_timestamp_seconds": 1_752_148_000, "installBeginTimestampSeconds": 0}
    expected = Referral(
        click_id="c-9", install_referrer=referrer, referrer_click_at_ms=1_752_148_000_000
    )
    for message in (
        app("Application Installed", {"version": "1.0", "referrer": referrer, **times}),
        app("Application Installed", {"install_referrer": referrer, **times}),
        app("Application Installed", times, referrer=referrer),
        app("Application Installed", None, referrer={"installReferrer": referrer, **times}),
    ):
        event = accepted(message)
        assert (event.event, event.referral) == ("install", expected)
        assert event.campaign == Campaign(utm_source="ads", utm_campaign="launch")
    odd = {"referrer": 7, "click_id": "x" * 300, "referrer_click_timestamp_seconds": "soon"}
    assert accepted(app("Application Installed", odd)).referral is None
    assert accepted(app("Application Installed", {"click_id": "c-1"})).referral == Referral(
        click_id="c-1"
    )


def test_a_deep_link_says_which_click_and_campaign_opened_the_app() -> None:
    link = "shop://sale?trackstream_click_id=c-2&utm_source=mail&gclid=g"
    for name in ("Application Opened", "Deep Link Opened"):
        event = accepted(app(name, {"url": link}, campaign={"source": "told"}))
        assert event.referral == Referral(click_id="c-2")
        assert event.campaign == Campaign(utm_source="told", click_ids={"gclid": "g"})
    assert accepted(app("Application Opened", {"url": link})).event == "app_open"
    assert accepted(app("Played", {"url": link})).referral is None


def test_what_an_attribution_provider_says_is_a_campaign_and_no_install() -> None:
    campaign = {"source": "Network", "name": "Spring", "content": "B", "ad_group": "g"}
    event = accepted(app("Install Attributed", {"provider": "p", "campaign": campaign}))
    assert event.event == "Install Attributed"
    assert event.campaign == Campaign(utm_source="Network", utm_campaign="Spring", utm_content="B")


def test_the_other_types() -> None:
    page = accepted(
        {
            "type": "page", "name": "Home", "userId": 42, "timestamp": NOW,
            "properties": {"url": "https://a.example/", "search": "?utm_source=x", "title": "A"},
        }
    )  # fmt: skip
    assert (page.event, page.user_id) == ("page_view", "42")
    assert json.loads(page.properties)["name"] == "Home"
    assert page.context is not None
    assert page.context.page_url == "https://a.example/?utm_source=x"
    assert page.campaign == Campaign(utm_source="x")
    screen = accepted({"type": "screen", "name": "Cart", "anonymousId": "a", "timestamp": NOW})
    assert (screen.event, screen.properties) == ("screen_view", '{"name":"Cart"}')
    traits = {"plan": "pro", "revenue": 5}
    identify = accepted({"userId": "u", "traits": traits, "timestamp": NOW}, "identify")
    assert (identify.event, json.loads(identify.properties)) == ("identify", {"traits": traits})
    rudder = {"userId": "u", "context": {"traits": traits}, "timestamp": NOW}
    assert json.loads(accepted(rudder, "identify").properties) == {"traits": traits}
    group = accepted({"userId": "u", "groupId": "g", "traits": traits, "timestamp": NOW}, "group")
    assert json.loads(group.properties) == {"groupId": "g", "traits": traits}
    alias = accepted({"userId": "u", "previousId": "anon", "timestamp": NOW}, "alias")
    assert (alias.event, alias.user_id, alias.cookie_id) == ("alias", "u", "anon")
    assert json.loads(alias.properties) == {"previousId": "anon"}


@pytest.mark.parametrize(
    ("times", "sent_at_ms", "expected_ms"),
    [
        ({"timestamp": NOW}, None, NOW_MS),
        ({}, None, NOW_MS),
        ({}, NOW_MS - 5, NOW_MS - 5),
        ({"sentAt": "2025-07-10T11:59:59Z"}, NOW_MS - 5, NOW_MS - 1000),
        ({"timestamp": NOW, "originalTimestamp": "2025-07-10T11:00:00Z"}, None, NOW_MS),
        (
            {"timestamp": NOW, "originalTimestamp": "2025-07-10T11:00:00Z"},
            NOW_MS,
            NOW_MS - 3_600_000,
        ),
    ],
)
def test_the_senders_own_time_counts(times: Any, sent_at_ms: int | None, expected_ms: int) -> None:
    message = {"type": "track", "event": "x", "userId": "u", **times}
    result = parsed(message, sent_at_ms=sent_at_ms).result
    assert isinstance(result, ParsedEvent)
    assert result.event.timestamp_ms == expected_ms


def test_what_has_an_odd_type_is_kept_and_costs_nothing() -> None:
    context = {
        "ip": "no address", "locale": ["de"], "app": {"version": 3.1, "name": "Shop"}, "os": "iOS",
        "screen": {"width": "wide", "height": 900, "density": 2}, "page": [], "sdk": {"a": []},
        "consent": {"categoryPreferences": {"a": "yes"}}, "campaign": {"name": {"a": 1}, "id": 7},
        "library": {"name": ["x"]}, "user_agent": 5, "device": {"id": 5}, "timezone": "",
    }  # fmt: skip
    message = track("x", [], context=context, gaid=5, session_id=3, referral="r", campaign=[1])
    event = accepted(message)
    assert event.context is not None
    assert (event.context.app_version, event.context.screen_height) == ("3.1", 900)
    extra = json.loads(event.context.extra or "")
    assert extra["$segment"] == {
        "locale": ["de"], "os": "iOS", "screen.width": "wide", "sdk": {"a": []},
        "consent": {"categoryPreferences": {"a": "yes"}}, "campaign.name": {"a": 1},
        "library": {"name": ["x"]}, "user_agent": 5,
    }  # fmt: skip
    assert extra["$event"] == {"$gaid": 5, "$session_id": 3, "$referral": "r", "$campaign": [1]}
    assert extra["device"] == {"id": 5}
    assert event.campaign == Campaign(campaign_id="7")


@pytest.mark.parametrize(
    ("message", "problems"),
    [
        (7, [(Reason.WRONG_TYPE, "")]),
        ({}, [(Reason.MISSING_FIELD, "type")]),
        ({"type": "merge"}, [(Reason.INVALID_VALUE, "type")]),
        ({"type": ["track"]}, [(Reason.INVALID_VALUE, "type")]),
        (
            {"type": "track", "context": {"library": {"name": "analytics-go"}}},
            [(Reason.MISSING_FIELD, "event"), (Reason.NO_IDENTIFIER, "userId")],
        ),
        ({**track("x"), "userId": {}}, [(Reason.WRONG_TYPE, "userId")]),
        ({**track("x"), "anonymousId": "a\n"}, [(Reason.INVALID_VALUE, "anonymousId")]),
        ({**track("x"), "messageId": "m" * 300}, [(Reason.INVALID_VALUE, "messageId")]),
        ({**track("x"), "timestamp": "today"}, [(Reason.INVALID_VALUE, "timestamp")]),
        ({**track("x"), "sentAt": "today"}, [(Reason.INVALID_VALUE, "sentAt")]),
        ({**track("x"), "properties": "p"}, [(Reason.WRONG_TYPE, "properties")]),
        ({**track("x"), "context": "c"}, [(Reason.WRONG_TYPE, "context")]),
        ({"type": "group", "userId": "u", "traits": {"a": "x" * 70_000}},
         [(Reason.TOO_LARGE, "traits")]),
    ],
)  # fmt: skip
def test_problems_are_told_in_segments_words(
    message: object, problems: list[tuple[Reason, str]]
) -> None:
    result = parsed(message).result
    assert isinstance(result, tuple)
    assert [(one.reason, one.field) for one in result] == problems


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def members(*names: str, inner: st.SearchStrategy[Any] = JSON) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(names) | st.text(max_size=3), inner, max_size=5) | JSON


CONTEXT = members(
    "app", "campaign", "channel", "consent", "device", "ip", "library", "locale", "os", "page",
    "referrer", "screen", "sdk", "timezone", "userAgent", "user_agent",
    inner=members(
        "adTrackingEnabled", "advertisingId", "attTrackingStatus", "categoryPreferences", "height",
        "id", "manufacturer", "model", "name", "referrer", "search", "source", "trackingStatus",
        "type", "url", "version", "width",
    ),
)  # fmt: skip
MESSAGE = st.fixed_dictionaries(
    {"type": st.sampled_from([*TYPES]), "anonymousId": st.just("a")},
    optional={
        "context": CONTEXT,
        "event": st.sampled_from([*EVENT_NAMES, "Deep Link Opened", "Install Attributed"]) | JSON,
        "properties": members("url", "referrer", "campaign", "click_id", "search", "title"),
        "traits": JSON,
        **dict.fromkeys(
            (
                "userId", "messageId", "timestamp", "originalTimestamp", "sentAt", "previousId",
                "groupId", "campaign", "referral", "gaid", "name", "channel",
            ),
            JSON,
        ),
    },
)  # fmt: skip


@given(MESSAGE | JSON, st.none() | st.sampled_from([*TYPES]))
def test_no_message_whatever_raises_and_none_vanishes(message: Any, kind: str | None) -> None:
    result = parsed(message, kind).result
    if isinstance(result, ParsedEvent):
        assert result.event.event_id
        assert result.event.event
    else:
        assert result
        assert all(one.reason in Reason for one in result)


@given(CONTEXT)
def test_no_context_costs_an_event(context: Any) -> None:
    """Whatever an object of a context holds, if it is not too long, the event is taken."""
    if isinstance(context, dict):
        assert isinstance(parsed(track("x", context=context)).result, ParsedEvent)


def test_an_orders_whole_story_brings_in_what_was_paid() -> None:
    state = None
    story: tuple[tuple[str, dict[str, Any]], ...] = (
        ("Product Viewed", {"price": 18.99, "value": 18.99}),
        ("Checkout Started", {"order_id": "o", "value": 30, "revenue": 25}),
        ("Order Completed", {"order_id": "o", "total": 27.5, "revenue": 25}),
        ("Order Updated", {"order_id": "o", "total": 27.5, "revenue": 25}),
        ("Order Refunded", {"order_id": "o", "total": 7.5}),
    )
    for offset, (name, properties) in enumerate(story):
        call = {"type": "track", "event": name, "anonymousId": "c", "messageId": name}
        stated = {**properties, "currency": "EUR"}
        event = accepted({**call, "timestamp": NOW, "properties": stated})
        state, out = apply(state, envelope(event, received_at_ms=NOW_MS), offset)
        (published,) = out.events
        expected = {"purchase": 25_000_000, "Order Refunded": -7_500_000}.get(published.event)
        assert published.revenue_micros == expected
    assert state is not None
    _, (session,) = passed(state, at_ms=NOW_MS, rules=DEFAULT)
    assert session.revenue_micros == {"EUR": 17_500_000}


@pytest.mark.parametrize("ip", ["203.0.113.9:51234", ["203.0.113.9"], "203.0.113.9, 10.0.0.1"])
def test_an_address_that_cannot_be_read_is_kept_nowhere(ip: Any) -> None:
    event = accepted(
        {
            "type": "track",
            "event": "x",
            "userId": "u",
            "timestamp": NOW,
            "ip": ip,
            "context": {"ip": ip, "device": {"ip": ip}, "IP_Address": ip, "odd": {"a": 1}},
        }
    )
    assert event.context is not None
    assert event.context.extra == '{"odd":{"a":1}}'
