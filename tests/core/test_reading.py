"""Reading an event at once gives what reading it field by field gives."""

from typing import Any, NoReturn

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trackstream.core import reading
from trackstream.core.fields import Problem
from trackstream.core.reading import read_event
from trackstream.core.validation import ParsedEvent, parse_event
from trackstream.http.openapi.events import EXAMPLE

NOW_MS = 1_752_148_800_000
TEXTS = st.one_of(
    st.sampled_from(
        ["a", "user-7", "Ürün", "Order Completed", "alias", "page", "203.0.113.7", "2001:DB8::1"]
    ),
    st.sampled_from(["", " ", " a ", "\ta", "a\n", "a\x00b", "\u00a0a", "👩\u200d🚀", "\ud800"]),
    st.sampled_from(["unknown", "NULL", "00000000-0000-0000-0000-000000000000", "n" * 201]),
    st.sampled_from(["x" * 64, "x" * 65, "x" * 128, "x" * 129, "x" * 256, "x" * 257, "x" * 513]),
    st.text(max_size=5),
)
URLS = st.sampled_from(
    [
        "https://shop.example/a?utm_source=x&gclid=7&trackstream_click_id=c",
        "https://shop.example/?",
        "https://shop.example/",
        "u" * 8_193,
    ]
)
TIMES = st.one_of(
    st.integers(NOW_MS - 10**9, NOW_MS + 10**8),
    st.sampled_from(
        [
            "2025-07-10T12:00:00Z",
            "2025-07-10t12:00:60.5+02:00",
            "1752148800",
            1752148800.5,
            0,
            1e400,
        ]
    ),
)
ODD = st.one_of(
    TEXTS,
    TIMES,
    st.sampled_from([None, True, False, -1, 1.5, 100_000, 100_001, 2**70, [], {}, [1], {"a": "b"}]),
)
CONTEXT = {
    "app": st.fixed_dictionaries({}, optional={"version": TEXTS, "build": TEXTS}),
    "os": st.fixed_dictionaries({}, optional={"name": TEXTS, "version": TEXTS}),
    "device": st.fixed_dictionaries({}, optional={"model": TEXTS, "manufacturer": TEXTS}),
    "screen": st.fixed_dictionaries({}, optional={"width": ODD, "height": st.integers(0, 3_000)}),
    "page": st.fixed_dictionaries({}, optional={"url": URLS, "referrer": TEXTS, "title": TEXTS}),
    "sdk": st.one_of(TEXTS, st.fixed_dictionaries({}, optional={"name": TEXTS, "version": TEXTS})),
    "locale": TEXTS,
    "timezone": TEXTS,
    "consent": st.dictionaries(TEXTS, st.booleans(), max_size=3),
    "ip": TEXTS,
    "user_agent": TEXTS,
    "unknown": ODD,
}
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("event", "event_id", "session_id", "app_id"), TEXTS),
    **dict.fromkeys(("user_id", "device_id", "cookie_id", "gaid", "idfa", "idfv"), TEXTS),
    **dict.fromkeys(("timestamp", "sent_at"), TIMES),
    "properties": st.dictionaries(TEXTS, ODD, max_size=3),
    "context": st.fixed_dictionaries({}, optional=CONTEXT),
    "campaign": st.dictionaries(
        st.sampled_from(["campaign_id", "channel", "utm_source", "gclid", "more"]), TEXTS
    ),
    "referral": st.dictionaries(
        st.sampled_from(["click_id", "install_referrer", "install_begin_at", "more"]), ODD
    ),
    "unknown": ODD,
}


DEEP: dict[str, Any] = {}
for _ in range(40):
    DEEP = {"a": [DEEP]}


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Events with one good identifier and some fields, a few of them with odd values."""
    event: dict[str, Any] = {"event": "view", "user_id": "u1", "timestamp": NOW_MS}
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=6, unique=True)):
        event[name] = draw(FIELDS[name])
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=1)):
        event[name] = draw(ODD)
    for name in draw(st.lists(st.sampled_from(sorted(event)), max_size=1)):
        del event[name]
    return event


@given(events(), st.sampled_from([None, "install"]), st.sampled_from([None, "c" * 16, "nil"]))
@example({"event": "\tview", "user_id": "u1", "timestamp": NOW_MS}, None, None)
@example(EXAMPLE, None, None)
@example({"event": "v", "user_id": "u1", "timestamp": NOW_MS, "context": "\ud800"}, None, None)
@example({"event": "v", "user_id": "u1", "timestamp": NOW_MS, "properties": DEEP}, None, None)
@example({"user_id": "u1", "timestamp": NOW_MS, "event": " "}, "install", None)
@example({"event": "alias", "user_id": "u1", "timestamp": NOW_MS, "properties": {}}, None, None)
def test_an_event_is_the_same_as_read_field_by_field(
    event: dict[str, Any], default_name: str | None, default_cookie_id: str | None
) -> None:
    def read(by: Any) -> ParsedEvent | tuple[Problem, ...]:
        found: ParsedEvent | tuple[Problem, ...] = by(
            event,
            received_at_ms=NOW_MS,
            sent_at_ms=NOW_MS - 5,
            new_id=lambda: "new",
            default_name=default_name,
            default_cookie_id=default_cookie_id,
        )
        return found

    assert read(read_event) == read(parse_event)


@pytest.mark.parametrize("value", [None, 1, "a", [], [{}], {}, {"event": None}])
def test_what_is_no_event_is_refused_as_ever(value: object) -> None:
    def read(by: Any) -> object:
        return by(value, received_at_ms=NOW_MS, sent_at_ms=None, new_id=lambda: "new")

    assert read(read_event) == read(parse_event)


@pytest.mark.parametrize("left_out", [{"plan"}, {"plan", "context"}, {"plan", "referral"}])
def test_an_event_as_most_are_is_read_at_once(
    left_out: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> NoReturn:
        raise AssertionError("read field by field")

    monkeypatch.setattr(reading, "parse_event", never)
    event: dict[str, Any] = {key: one for key, one in EXAMPLE.items() if key not in left_out}
    if "context" in event:
        event["context"] = {key: one for key, one in event["context"].items() if key != "plan"}
    found = read_event(event, received_at_ms=NOW_MS, sent_at_ms=None, new_id=lambda: "new")
    assert isinstance(found, ParsedEvent)
