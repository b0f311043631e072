"""What becomes of one subject's envelopes; the order of events is `test_sessions`' concern."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.visiting import GAP, NOW, START, apply, envelope, page, run
from trackstream.core.records import Context, RawEvent, Referral, Session
from trackstream.core.rules import DEFAULT, Rules
from trackstream.core.segment import parse_message
from trackstream.core.validation import ParsedEvent
from trackstream.core.visits import due_ms, passed

moments = st.lists(
    st.integers(0, 12).map(lambda n: START + n * GAP // 2)
    | st.integers(0, 6 * GAP).map(lambda n: START + n),
    min_size=1,
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(times_ms=moments, cut=st.integers(0, 20))
def test_a_replay_changes_nothing_and_says_the_same_again(times_ms: list[int], cut: int) -> None:
    batches = [[page(n, at)] for n, at in enumerate(times_ms)]
    state, outs = run(batches)
    again = state
    for offset in range(min(cut, len(batches)), len(batches)):
        again, out = apply(again, envelope(*batches[offset]), offset)
        assert out.duplicates == 0
        assert [e.event_id for e in out.events] == [e.event_id for e in outs[offset].events]
    assert again == state


def test_a_clients_retry_is_dropped_and_counted() -> None:
    state, first = apply(None, envelope(page(1, START), page(1, START)), 0)
    assert (len(first.events), first.duplicates) == (1, 1)
    _, second = apply(state, envelope(page(1, START), page(2, START)), 1)
    assert ([e.event_id for e in second.events], second.duplicates) == (["e2"], 1)


def test_no_request_is_too_large_to_be_known_when_it_is_sent_again() -> None:
    large = [[page(n, START + n) for n in range(low, low + 1_000)] for low in (0, 1_000, 2_000)]
    state = None
    for offset, batch in enumerate(large):
        state, _ = apply(state, envelope(*batch, received_at_ms=NOW + offset), offset)
    assert state is not None
    for offset, batch in ((3, large[2]), (4, large[1]), (5, large[2])):
        again, out = apply(state, envelope(*batch), offset)
        assert (out.events, out.duplicates, out.activity) == ([], 1_000, {})
        assert (again.sessions, again.recent) == (state.sessions, state.recent)
    assert len(state.recent) == 2_000


def test_a_request_that_came_in_several_envelopes_is_known_as_a_whole() -> None:
    state, batches = None, [[page(k * 250 + n, START) for n in range(250)] for k in range(8)]
    for offset, batch in enumerate(batches):
        arrival_ms = NOW + offset // 4
        state, _ = apply(state, envelope(*batch, received_at_ms=arrival_ms), offset)
    assert state is not None
    for offset, batch in enumerate(batches, 8):
        _, out = apply(state, envelope(*batch, received_at_ms=NOW + 9), offset)
        assert (out.events, out.duplicates) == ([], 250)
    state, _ = apply(state, envelope(page(-1, START), received_at_ms=NOW + 9), 16)
    _, out = apply(state, envelope(*batches[0], received_at_ms=NOW + 10), 17)
    assert out.duplicates == 0


def test_what_is_remembered_is_bounded_however_many_a_request_brings() -> None:
    state = None
    for offset in range(6):
        batch = [page(offset * 1_000 + n, START) for n in range(1_000)]
        state, _ = apply(state, envelope(*batch), offset)
    assert state is not None
    assert len(state.recent) == 4_096


def test_ids_are_forgotten_by_whole_requests_once_as_many_are_known() -> None:
    few = Rules(max_recent_events=10)
    state = None
    for offset in range(20):
        batch = [page(offset * 4 + n, START) for n in range(4)]
        state, _ = apply(state, envelope(*batch, received_at_ms=NOW + offset), offset, few)
        assert sorted(set(state.recent.values())) == list(range(max(0, offset - 2), offset + 1))
    assert state is not None
    before = state
    for offset in range(20):
        batch = [page(offset * 4 + n, START) for n in range(4)]
        state, out = apply(state, envelope(*batch), offset, few)
        assert (len(out.events), out.duplicates, state) == (4, 0, before)


def test_a_gap_of_exactly_thirty_minutes_is_one_session_and_a_millisecond_more_is_two() -> None:
    one, _ = run([[page(1, START), page(2, START + GAP)]])
    two, _ = run([[page(1, START), page(2, START + GAP + 1)]])
    assert (len(one.sessions), len(two.sessions)) == (1, 2)


def test_a_session_is_published_when_it_opens_changes_and_closes() -> None:
    state, out = apply(None, envelope(page(1, START)), 0)
    assert [(s.status, s.revision, s.event_count) for s in out.sessions] == [("open", 1, 1)]
    assert due_ms(state, rules=DEFAULT) == START + GAP + 1
    state, out = apply(state, envelope(page(2, START + 1000)), 1)
    assert out.sessions == []
    assert due_ms(state, rules=DEFAULT) == 0
    state, records = passed(state, at_ms=START + 2000, rules=DEFAULT)
    assert [(s.status, s.revision, s.event_count) for s in records] == [("open", 2, 2)]
    state, records = passed(state, at_ms=START + 1000 + GAP, rules=DEFAULT)
    assert records == []
    state, records = passed(state, at_ms=START + 1001 + GAP, rules=DEFAULT)
    assert [(s.status, s.revision, s.exit_page) for s in records] == [("closed", 3, "/p2")]
    assert due_ms(state, rules=DEFAULT) is None


def test_a_late_event_that_joins_two_sessions_withdraws_one_of_them() -> None:
    state, outs = run([[page(1, START)], [page(3, START + 2 * GAP)], [page(2, START + GAP)]])
    assert len({s.session_id for out in outs[:2] for s in out.sessions}) == 2
    (merged,) = outs[2].sessions
    (kept,) = state.sessions
    assert (merged.status, merged.merged_into, merged.revision) == ("merged", kept.session_id, 2)
    assert outs[2].events[0].session_id == kept.session_id
    _, (record,) = passed(state, at_ms=START, rules=DEFAULT)
    assert (record.event_count, record.entry_page, record.exit_page) == (3, "/p1", "/p3")


def test_old_sessions_are_forgotten_once_no_late_event_may_change_them() -> None:
    rules = Rules(session_memory_ms=GAP * 4)
    state, _ = apply(None, envelope(page(1, START)), 0, rules)
    state, _ = passed(state, at_ms=NOW, rules=rules)
    state, _ = apply(state, envelope(page(2, START + 3 * GAP)), 1, rules)
    assert len(state.sessions) == 2
    state, _ = apply(state, envelope(page(3, START + 5 * GAP)), 2, rules)
    assert [one.end[0] for one in state.sessions] == [START + 3 * GAP, START + 5 * GAP]


def test_a_wrong_clock_is_corrected_by_the_least_offset_seen_and_a_right_one_is_left() -> None:
    ahead = 3_600_000
    state, out = apply(
        None,
        envelope(page(1, NOW + ahead - 500), received_at_ms=NOW, sent_at_ms=NOW + ahead - 200),
        0,
    )
    assert out.events[0].timestamp_ms == NOW - 500 + 200
    assert out.events[0].client_timestamp_ms == NOW + ahead - 500
    assert state.clock_offset_ms == 200 - ahead
    _, out = apply(None, envelope(page(1, NOW - 500), received_at_ms=NOW, sent_at_ms=NOW - 50), 0)
    assert out.events[0].timestamp_ms == NOW - 500


def test_a_time_ahead_of_its_arrival_is_set_to_it_and_an_old_one_is_marked_late() -> None:
    far = DEFAULT.max_ahead_ms
    _, out = apply(None, envelope(page(1, NOW + far + 1), page(2, NOW + far), page(3, START)), 0)
    assert [(e.timestamp_ms, e.late) for e in out.events] == [
        (NOW, False),
        (NOW + far, False),
        (START, True),
    ]


def test_a_browser_leads_to_the_click_that_its_page_names_and_is_said_once() -> None:
    landing = page(1, START, referral=Referral(click_id="k"))
    bought = page(2, START + 1000, "purchase", user_id="u")
    _, (first, second) = run([[landing], [bought]])
    assert [(one.identifier, one.other) for one in first.links] == [("cookie:c", "click:k")]
    assert "click:k" not in {one.other for one in second.links}
    (probe, _) = second.probes
    assert probe.conversion.web
    again = page(3, START + 2000, referral=Referral(click_id="k"))
    _, (*_, last) = run([[landing], [bought], [again]])
    assert last.links == []


def test_a_conversion_of_a_device_is_none_of_the_web() -> None:
    _, (out,) = run([[page(1, START, "purchase", device_id="d")]])
    assert [one.conversion.web for one in out.probes] == [False, False]


def test_a_log_in_links_once_and_names_the_person_from_then_on() -> None:
    state, first = apply(None, envelope(page(1, START), page(2, START + 1, user_id="u")), 0)
    assert [e.person for e in first.events] == ["cookie:c", "user:u"]
    assert {(k.identifier, k.other) for k in first.links} == {
        ("user:u", "cookie:c"),
        ("cookie:c", "user:u"),
    }
    state, second = apply(state, envelope(page(3, START + 2, user_id="u"), page(4, START + 3)), 1)
    assert second.links == []
    assert [e.person for e in second.events] == ["user:u", "user:u"]
    assert len(state.sessions) == 1


def test_an_install_asks_under_each_of_its_identifiers() -> None:
    install = page(
        1, START, event="install", device_id="d", gaid="0" * 8 + "-0000-0000-0000-" + "0" * 12
    )
    context = Context(os_name="Android", os_version="14")
    _, out = apply(None, envelope(msgspec.structs.replace(install, context=context)), 0)
    asked = [probe.identifier for probe in out.probes]
    assert asked[:2] == ["device:d", "cookie:c"]
    assert asked[2].startswith("fp:")
    assert {probe.conversion.conversion_id for probe in out.probes} == {"app:e1"}


def test_revenue_is_exact() -> None:
    _, out = apply(
        None,
        envelope(
            page(1, START, event="purchase", properties='{"revenue": 49.99, "currency": "eur"}')
        ),
        0,
    )
    assert (out.events[0].revenue_micros, out.events[0].currency) == (49_990_000, "EUR")
    assert out.sessions[0].revenue_micros == {"EUR": 49_990_000}
    assert out.sessions[0].conversions == 1
    assert out.probes


def test_the_stores_time_is_corrected_for_the_same_clock_as_the_install() -> None:
    slow_ms = 2 * 3_600_000
    sent_at_ms = NOW - slow_ms
    began = Referral(install_begin_at_ms=sent_at_ms - 40_000)
    opened = page(1, sent_at_ms - 5_000, "install", referral=began)
    _, out = apply(None, envelope(opened, sent_at_ms=sent_at_ms), 0)
    asked = out.probes[0].conversion
    assert asked.at_ms == NOW - 5_000
    assert asked.install_begin_at_ms == NOW - 40_000


@settings(max_examples=60, deadline=None)
@given(times_ms=moments, seed=st.integers(0, 2**32), wrong_ms=st.sampled_from([0, -3, 7]))
def test_sessions_do_not_depend_on_when_the_clock_became_known(
    times_ms: list[int], seed: int, wrong_ms: int
) -> None:
    """Requests of different latency, in any order: the same sessions, corrected by the least."""
    random = Random(seed)
    error_ms = wrong_ms * 3_600_000
    latencies = [random.randint(0, 10 * 60_000) for _ in times_ms]
    requests = [
        envelope(
            page(n, at_ms - error_ms),
            received_at_ms=NOW + latency_ms,
            sent_at_ms=NOW - error_ms,
        )
        for n, (at_ms, latency_ms) in enumerate(zip(times_ms, latencies, strict=True))
    ]
    random.shuffle(requests)
    state, last = None, dict[str, Session]()
    for offset, one in enumerate(requests):
        state, out = apply(state, one, offset)
        last |= {record.session_id: record for record in out.sessions}
    assert state is not None
    state, closing = passed(state, at_ms=NOW + 10 * GAP, rules=DEFAULT)
    last |= {record.session_id: record for record in closing}
    offset_ms = error_ms + min(latencies)
    known_ms = offset_ms if abs(offset_ms) > 60_000 else 0
    kept = [one for one in last.values() if one.status != "merged"]
    assert {one.clock_error_ms for one in kept} == {known_ms}
    got = sorted((one.started_at_ms, one.ended_at_ms, one.event_count) for one in kept)
    shift_ms = known_ms - error_ms
    first, *rest = sorted(times_ms)
    wanted = [[first]]
    for at_ms in rest:
        if at_ms - wanted[-1][-1] > GAP:
            wanted.append([])
        wanted[-1].append(at_ms)
    assert got == [(one[0] + shift_ms, one[-1] + shift_ms, len(one)) for one in wanted]


def test_a_time_after_its_own_sending_is_set_to_it_however_wrong_the_clock() -> None:
    hour_ms = 3_600_000
    broken = envelope(page(1, NOW + 9 * hour_ms), sent_at_ms=NOW + hour_ms)
    _, out = apply(None, broken, 0)
    assert out.events[0].timestamp_ms == NOW


@pytest.mark.parametrize(
    ("consent", "needed", "asked"),
    [
        ({}, False, True),
        ({"analytics": False}, False, True),
        ({"ad_storage": True, "tracking": False}, False, False),
        ({"Marketing": False}, False, False),
        ({}, True, False),
        ({"analytics": True}, True, False),
        ({"advertising": True}, True, True),
    ],
)
def test_who_denies_tracking_is_not_found_by_network_and_system(
    consent: dict[str, bool],
    needed: bool,  # noqa: FBT001 - a table of cases
    asked: bool,  # noqa: FBT001 - likewise
) -> None:
    install = page(1, START, event="install", device_id="d")
    context = Context(os_name="Android", consent=consent)
    rules = Rules(probabilistic_needs_consent=needed)
    _, out = apply(None, envelope(msgspec.structs.replace(install, context=context)), 0, rules)
    assert any(probe.identifier.startswith("fp:") for probe in out.probes) is asked


def test_a_session_is_of_the_form_factor_that_its_first_known_device_has() -> None:
    told = Context(os_name="iOS", device_model="iPad13,4")
    events = [page(1, START), page(2, START + 1, context=told)]
    events.append(page(3, START + 2, context=Context(device_type="phone")))
    _, out = apply(None, envelope(*events), 0)
    (session,) = out.sessions
    assert (session.form_factor, session.device_model) == ("tablet", "iPad13,4")
    assert [one.form_factor for one in out.events] == [None, "tablet", "phone"]


def screen(n: int, properties: str, url: str | None = None) -> RawEvent:
    return page(n, START + n, "screen_view", properties=properties, context=Context(page_url=url))


def test_a_session_in_an_app_begins_and_ends_with_the_names_of_screens() -> None:
    parsed = parse_message(
        {"type": "screen", "name": "Home", "anonymousId": "c", "timestamp": START},
        kind=None, received_at_ms=NOW, sent_at_ms=None, new_id=lambda: "home",
    ).result  # fmt: skip
    assert isinstance(parsed, ParsedEvent)
    cart = screen(2, '{"name": " Cart "}')
    mute = [screen(3, '{"name": 7}'), screen(4, "{}"), screen(5, '{"name": ""}')]
    unseen = page(6, START + 6, "view", properties='{"name": "Shoe"}', context=None)
    _, out = apply(None, envelope(parsed.event, cart, *mute, unseen), 0)
    (session,) = out.sessions
    assert (session.entry_page, session.exit_page, session.page_views) == ("Home", "Cart", 5)
    _, out = apply(None, envelope(cart, screen(7, '{"name": "Pay"}', "app://pay")), 0)
    (session,) = out.sessions
    assert (session.entry_page, session.exit_page) == ("Cart", "app://pay")
