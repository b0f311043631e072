import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream import codec
from trackstream.core.envelopes import envelopes_of, halves
from trackstream.core.fields import MAX_DEPTH, Problem
from trackstream.core.reasons import Reason
from trackstream.core.validation import ParsedEvent, parse_event

NOW_MS = 1_752_148_800_000
DAY_MS = 86_400_000


def parse(value: object, **options: Any) -> ParsedEvent | tuple[Problem, ...]:
    ids = (f"new-{number}" for number in itertools.count())
    arguments: dict[str, Any] = {
        "received_at_ms": NOW_MS,
        "sent_at_ms": None,
        "new_id": lambda: next(ids),
        **options,
    }
    return parse_event(value, **arguments)


def accepted(value: object, **options: Any) -> ParsedEvent:
    result = parse(value, **options)
    assert isinstance(result, ParsedEvent), result
    return result


def reasons(value: object, **options: Any) -> list[tuple[str, str]]:
    result = parse(value, **options)
    assert isinstance(result, tuple), result
    return [(one.reason, one.field) for one in result]


def event(**fields: Any) -> dict[str, Any]:
    return {"event": "view", "user_id": "u1", "timestamp": NOW_MS, **fields}


def test_the_events_of_the_brief_are_accepted_as_they_stand() -> None:
    purchase = accepted(
        {
            "event": "add_to_cart",
            "user_id": "user-5678",
            "timestamp": "2025-07-10T12:00:00Z",
            "properties": {"product_id": "p123", "price": 49.99},
        }
    ).event
    assert (purchase.event, purchase.user_id) == ("add_to_cart", "user-5678")
    assert purchase.timestamp_ms == NOW_MS
    assert purchase.properties == '{"product_id":"p123","price":49.99}'
    assert purchase.event_id == "new-0"
    install = accepted(
        {
            "event": "install",
            "device_id": "abcd-1234",
            "timestamp": "2025-07-10T12:00:00Z",
            "referral": {"click_id": "uuid-1234", "campaign_id": "abc123"},
        }
    ).event
    assert install.referral is not None
    assert (install.referral.click_id, install.referral.campaign_id) == ("uuid-1234", "abc123")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], [("wrong_type", "")]),
        (None, [("wrong_type", "")]),
        ({}, [("missing_field", "event"), ("missing_field", "timestamp"),
              ("no_identifier", "user_id")]),
        (event(event="  "), [("missing_field", "event")]),
        (event(event=7), [("wrong_type", "event")]),
        (event(event="e" * 201), [("invalid_value", "event")]),
        (event(event="a\0b"), [("invalid_value", "event")]),
        (event(user_id=12), [("wrong_type", "user_id")]),
        (event(user_id=["u"]), [("wrong_type", "user_id")]),
        (event(user_id="\ud800"), [("invalid_value", "user_id")]),
        (event(user_id=" "), [("no_identifier", "user_id")]),
        (event(user_id="null"), [("no_identifier", "user_id")]),
        (event(user_id=None, gaid="0" * 32), [("no_identifier", "user_id")]),
        (event(event_id="i" * 257), [("invalid_value", "event_id")]),
        (event(timestamp="yesterday"), [("invalid_value", "timestamp")]),
        (event(timestamp={}), [("wrong_type", "timestamp")]),
        (event(timestamp=NOW_MS + DAY_MS + 1), [("timestamp_in_future", "timestamp")]),
        (event(timestamp=0), [("timestamp_out_of_range", "timestamp")]),
        (event(timestamp=10**30), [("timestamp_out_of_range", "timestamp")]),
        (event(sent_at="now"), [("invalid_value", "sent_at")]),
        (event(properties=[]), [("wrong_type", "properties")]),
        (event(properties={"a": "x" * 70_000}), [("too_large", "properties")]),
        (event(properties={"a": list(range(3000))}), [("too_large", "properties")]),
        (event(campaign="x"), [("wrong_type", "campaign")]),
        (event(campaign={"utm_source": 1}), [("wrong_type", "campaign.utm_source")]),
        (event(context={"os": "Android"}), [("wrong_type", "context.os")]),
        (event(context={"screen": {"width": -1}}), [("invalid_value", "context.screen.width")]),
        (event(context={"consent": {"ads": "yes"}}), [("wrong_type", "context.consent")]),
        (event(context={"ip": "1.2.3"}), [("invalid_value", "context.ip")]),
        (event(context={"x": {"y": "z" * 70_000}}), [("too_large", "context.extra")]),
        (event(referral={"install_begin_at": "x"}),
         [("invalid_value", "referral.install_begin_at")]),
    ],
)  # fmt: skip
def test_each_problem_has_its_reason_and_field(
    value: object, expected: list[tuple[str, str]]
) -> None:
    assert reasons(value) == expected


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_nesting_is_bounded() -> None:
    accepted(event(properties=nested(MAX_DEPTH)))
    assert reasons(event(properties=nested(MAX_DEPTH + 1))) == [("too_deep", "properties")]
    assert reasons(event(context={"a": nested(500)})) == [("too_deep", "context.extra")]


def test_a_wrong_clock_is_corrected_before_the_timestamp_is_judged() -> None:
    year_ms = 365 * DAY_MS
    ahead = accepted(event(timestamp=NOW_MS + year_ms), sent_at_ms=NOW_MS + year_ms)
    assert ahead.event.timestamp_ms == NOW_MS + year_ms
    accepted(event(timestamp=5_000), sent_at_ms=6_000)
    assert reasons(event(timestamp=NOW_MS), sent_at_ms=NOW_MS - 2 * DAY_MS) == [
        ("timestamp_in_future", "timestamp")
    ]
    own = accepted(event(timestamp=5_000, sent_at=6), sent_at_ms=NOW_MS)
    assert own.sent_at_ms == 6_000


def test_historic_imports_are_ordinary() -> None:
    assert accepted(event(timestamp="2015-05-17T10:05:03Z")).event.timestamp_ms == 1431857103000


def test_ids_of_nobody_are_left_out() -> None:
    found = accepted(event(device_id="00000000-0000-0000-0000-000000000000", idfa=" "))
    assert (found.event.device_id, found.event.idfa) == (None, None)


def test_a_cookie_stands_in_for_the_sender_who_gives_none() -> None:
    anonymous = {"event": "view", "timestamp": NOW_MS}
    assert accepted(anonymous, default_cookie_id="k").event.cookie_id == "k"
    assert accepted(event(cookie_id="own"), default_cookie_id="k").event.cookie_id == "own"


def test_context_is_read_and_the_rest_kept() -> None:
    found = accepted(
        event(
            surprise=1,
            campaign={"utm_source": "s", "gclid": "g", "color": "red"},
            context={
                "app": {"version": "1.2", "build": 7},
                "os": {"name": "iOS", "version": "17"},
                "device": {"model": "iPhone", "manufacturer": "Apple"},
                "screen": {"width": 411.4, "height": 900},
                "page": {"url": "https://a.example/", "title": "A\0B"},
                "sdk": {"name": "js", "version": "2"},
                "consent": {"ads": False},
                "locale": "de-DE",
                "timezone": "Europe/Berlin",
                "ip": "2001:DB8::1",
                "user_agent": "agent",
                "network": {"wifi": True},
            },
        )
    )
    context = found.event.context
    assert context is not None
    assert (context.app_version, context.os_name, context.screen_width) == ("1.2", "iOS", 411)
    assert (context.sdk, context.consent, context.page_title) == ("js/2", {"ads": False}, "A�B")
    assert (found.ip, found.user_agent) == ("2001:db8::1", "agent")
    assert json.loads(context.extra or "") == {
        "app": {"build": 7},
        "network": {"wifi": True},
        "$event": {"surprise": 1},
        "$campaign": {"color": "red"},
    }
    campaign = found.event.campaign
    assert campaign is not None
    assert (campaign.utm_source, campaign.click_ids) == ("s", {"gclid": "g"})


def test_unknown_fields_are_kept_without_a_context() -> None:
    context = accepted(event(surprise=1)).event.context
    assert context is not None
    assert context.extra == '{"$event":{"surprise":1}}'


def test_the_page_says_where_the_visit_came_from() -> None:
    url = "https://a.example/?utm_source=page&utm_medium=cpc&fbclid=f&trackstream_click_id=c9#x"
    found = accepted(event(campaign={"utm_source": "told"}, context={"page": {"url": url}})).event
    assert found.campaign is not None
    assert (found.campaign.utm_source, found.campaign.utm_medium) == ("told", "cpc")
    assert found.campaign.click_ids == {"fbclid": "f"}
    assert found.referral is not None
    assert found.referral.click_id == "c9"


@pytest.mark.parametrize(
    "referrer",
    [
        "trackstream_click_id=c9&utm_source=ad",
        "trackstream_click_id%3Dc9%26utm_source%3Dad",
        "trackstream_click_id%253Dc9%2526utm_source%253Dad",
        "click_id=c9&utm_source=ad",
        "clickid=c9&utm_source=ad",
    ],
)
def test_plays_referrer_is_understood_encoded_or_not(referrer: str) -> None:
    found = accepted(
        event(
            referral={
                "install_referrer": referrer,
                "referrer_click_timestamp_seconds": 1_752_148_700,
                "install_begin_timestamp_seconds": 0,
            }
        )
    ).event
    assert found.referral is not None
    assert found.referral.click_id == "c9"
    assert found.referral.install_referrer == referrer
    assert found.referral.referrer_click_at_ms == 1_752_148_700_000
    assert found.referral.install_begin_at_ms is None
    assert found.campaign is not None
    assert found.campaign.utm_source == "ad"


@pytest.mark.parametrize(
    "referrer",
    [
        "utm_source=google-play&utm_medium=organic",
        "utm_source%3Dgoogle-play%26utm_medium%3Dorganic",
        "utm_medium=organic&utm_source=google-play&utm_campaign=",
        "utm_source=(not%20set)&utm_medium=(not%20set)",
    ],
)
def test_what_the_store_itself_brought_is_of_no_campaign(referrer: str) -> None:
    found = accepted(event(referral={"install_referrer": referrer})).event
    assert found.campaign is None
    assert found.referral is not None
    assert found.referral.install_referrer == referrer


@pytest.mark.parametrize(
    ("mark", "expected"),
    [("gclid=g1", (None, {"gclid": "g1"})), ("utm_campaign=spring", ("spring", {}))],
)
def test_an_ad_that_sent_to_the_store_is_a_campaign(mark: str, expected: tuple[Any, Any]) -> None:
    referrer = f"utm_source=google-play&utm_medium=organic&{mark}"
    found = accepted(event(referral={"install_referrer": referrer})).event.campaign
    assert found is not None
    assert (found.utm_campaign, found.click_ids) == expected
    assert found.utm_source == "google-play"


def test_an_organic_install_keeps_what_it_says_of_itself() -> None:
    organic = {"install_referrer": "utm_source=google-play&utm_medium=organic&click_id=c9"}
    found = accepted(event(referral=organic, campaign={"utm_source": "told"})).event
    assert found.campaign is not None
    assert (found.campaign.utm_source, found.campaign.utm_medium) == ("told", None)
    assert found.referral is not None
    assert found.referral.click_id == "c9"


def test_events_are_grouped_by_subject_and_sender_in_their_order() -> None:
    parsed = [
        accepted(event(event=name, **more))
        for name, more in (
            ("a", {"device_id": "d"}),
            ("b", {}),
            ("c", {"device_id": "d", "user_id": None}),
            ("d", {"device_id": "d", "context": {"ip": "203.0.113.1", "user_agent": "x"}}),
            ("e", {"user_id": None, "gaid": "G-1"}),
        )
    ]
    for trusts_sender, expected in ((True, "203.0.113.1"), (False, "192.0.2.1")):
        groups = envelopes_of(
            "shop",
            parsed,
            received_at_ms=NOW_MS,
            ip="192.0.2.1",
            user_agent="ua",
            trusts_sender=trusts_sender,
        )
        shape = [
            (one.subject, one.ip, one.user_agent, [inner.event for inner in one.events])
            for one in groups
        ]
        assert shape == [
            ("shop|device:d", "192.0.2.1", "ua", ["a", "c"]),
            ("shop|user:u1", "192.0.2.1", "ua", ["b"]),
            ("shop|device:d", expected, "x", ["d"]),
            ("shop|gaid:g-1", "192.0.2.1", "ua", ["e"]),
        ]
    first, second = halves(groups[0]) or (groups[0], groups[0])
    assert [*first.events, *second.events] == groups[0].events
    assert halves(first) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters(),
                                                                   max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner,
                                                                max_size=4),
    max_leaves=12,
)  # fmt: skip
NAMES = st.sampled_from(
    ["event", "timestamp", "user_id", "device_id", "gaid", "event_id", "sent_at", "properties",
     "campaign", "context", "referral", "session_id", "other"]
)  # fmt: skip
INNER = st.sampled_from(
    ["app", "os", "device", "screen", "page", "url", "width", "name", "version", "consent", "ip",
     "sdk", "install_referrer", "install_begin_timestamp_seconds", "click_id", "utm_source",
     "gclid", "user_agent", "x"]
)  # fmt: skip
DEEP = st.recursive(JSON, lambda inner: st.dictionaries(INNER, inner, max_size=4), max_leaves=8)


@given(value=st.dictionaries(NAMES, DEEP), completed=st.booleans())
def test_whatever_comes_is_an_event_that_travels_or_says_what_is_wrong(
    *, value: dict[str, Any], completed: bool
) -> None:
    if completed:
        value = {**value, "event": "e", "user_id": "u", "timestamp": NOW_MS}
    result = parse(value)
    if isinstance(result, tuple):
        assert result
        assert all(one.reason in Reason and one.detail for one in result)
        return
    (envelope,) = envelopes_of(
        "shop", [result], received_at_ms=NOW_MS, ip=None, user_agent=None, trusts_sender=True
    )
    assert codec.decode(codec.encode(envelope)) == envelope
    assert "\\u0000" not in result.event.properties.replace("\\\\", "")
    json.loads(result.event.properties)


@pytest.mark.parametrize(
    ("said", "began_ms", "by_server"),
    [
        ({"install_begin_timestamp_seconds": 1_752_148_800}, 1_752_148_800_000, False),
        (
            {
                "install_begin_timestamp_seconds": 1_752_148_000,
                "install_begin_timestamp_server_seconds": 1_752_148_800,
            },
            1_752_148_800_000,
            True,
        ),
        (
            {
                "install_begin_timestamp_seconds": 1_752_148_800,
                "install_begin_timestamp_server_seconds": 0,
            },
            1_752_148_800_000,
            False,
        ),
    ],
)
def test_the_stores_servers_know_the_time_better_than_the_device(
    said: dict[str, int],
    began_ms: int,
    by_server: bool,  # noqa: FBT001 - a table of cases
) -> None:
    referral = accepted(event(referral=said)).event.referral
    assert referral is not None
    assert (referral.install_begin_at_ms, referral.server_times) == (began_ms, by_server)


@pytest.mark.parametrize("value", [[], {}, [1], {"a": 1}])
@pytest.mark.parametrize("name", ["install_begin", "referrer_click"])
def test_a_stores_time_that_is_no_number_is_refused(name: str, value: object) -> None:
    field = f"{name}_timestamp_server_seconds"
    assert reasons(event(referral={field: value})) == [("wrong_type", f"referral.{field}")]


@pytest.mark.parametrize("name", ["previous_id", "previousId"])
def test_the_user_whom_an_alias_replaces_goes_by_the_rules_of_identifiers(name: str) -> None:
    for wrong, reason in (
        ("x" * 257, Reason.INVALID_VALUE),
        ("a\x07", Reason.INVALID_VALUE),
        ("\ud800", Reason.INVALID_VALUE),
        ([], Reason.WRONG_TYPE),
    ):
        alias = event(event="alias", properties={name: wrong})
        assert reasons(alias) == [(reason, f"properties.{name}")]
        assert accepted(event(properties={name: wrong})).event.event == event()["event"]
    for right in ("undefined", "u", 42, "", None):
        assert accepted(event(event="alias", properties={name: right})).event.event == "alias"
