"""Sessions and counts do not depend on the order, the batches or the repetition of events."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from trackstream.core.lookups import Place, UserAgent
from trackstream.core.records import Context, Envelope, RawEvent, Referral, Session
from trackstream.core.rules import DEFAULT, Rules
from trackstream.core.visits import VisitorState, VisitOutcome, due_ms, passed, visit

GAP = DEFAULT.session_gap_ms
START = 1_400_000_000_000
NOW = START + 100 * GAP


def page(n: int, at_ms: int, event: str = "page_view", **more: object) -> RawEvent:
    fields = {"context": Context(page_url=f"/p{n}"), "cookie_id": "c", **more}
    return RawEvent(event_id=f"e{n}", event=event, timestamp_ms=at_ms, **fields)  # type: ignore[arg-type] # test data


def envelope(
    *events: RawEvent, received_at_ms: int = NOW, sent_at_ms: int | None = None
) -> Envelope:
    return Envelope(
        app_id="app",
        subject="app|cookie:c",
        received_at_ms=received_at_ms,
        sent_at_ms=sent_at_ms,
        ip="192.0.2.1",
        events=list(events),
    )


def apply(
    state: VisitorState | None, one: Envelope, offset: int, rules: Rules = DEFAULT
) -> tuple[VisitorState, VisitOutcome]:
    after, out = visit(
        state, one, offset=offset, place=Place(country="AT"), user_agent=UserAgent(), rules=rules
    )
    return msgspec.msgpack.decode(msgspec.msgpack.encode(after), type=VisitorState), out


def run(batches: list[list[RawEvent]]) -> tuple[VisitorState, list[VisitOutcome]]:
    state, outs = None, []
    for offset, batch in enumerate(batches):
        state, out = apply(state, envelope(*batch), offset)
        outs.append(out)
    assert state is not None
    return state, outs


def newest(records: list[Session]) -> dict[str, Session]:
    """What the warehouse keeps: the highest revision of each session that still counts."""
    last: dict[str, Session] = {}
    for one in records:
        if one.session_id not in last or one.revision >= last[one.session_id].revision:
            last[one.session_id] = one
    return {key: one for key, one in last.items() if one.status != "merged"}


def reference(times_ms: list[int]) -> list[tuple[int, int, int]]:
    """(start, end, events) of sessions, by sorting first."""
    found: list[list[int]] = []
    for at in sorted(times_ms):
        if found and at - found[-1][-1] <= GAP:
            found[-1].append(at)
        else:
            found.append([at])
    return [(one[0], one[-1], len(one)) for one in found]


moments = st.lists(
    st.integers(0, 12).map(lambda n: START + n * GAP // 2)
    | st.integers(0, 6 * GAP).map(lambda n: START + n),
    min_size=1,
    max_size=12,
)


@settings(max_examples=500, deadline=None)
@given(times_ms=moments, seed=st.integers(0, 2**32))
def test_any_order_batching_and_repetition_gives_the_sessions_of_the_sorted_events(
    times_ms: list[int], seed: int
) -> None:
    random = Random(seed)
    events = [page(n, at) for n, at in enumerate(times_ms)]
    random.shuffle(events)
    batches: list[list[RawEvent]] = []
    while events:
        batches.append([events.pop() for _ in range(random.randint(1, len(events)))])
    batches += [random.choice(batches) for _ in range(random.randint(0, 3))]
    state, outs = run(batches)
    records = [one for out in outs for one in out.sessions]
    _, closing = passed(state, at_ms=NOW, rules=DEFAULT)
    kept = newest([*records, *closing])
    got = sorted((one.started_at_ms, one.ended_at_ms, one.event_count) for one in kept.values())
    assert got == reference(times_ms)
    assert {one.status for one in kept.values()} == {"closed"}
    sent = [event.event_id for out in outs for event in out.events]
    assert sorted(sent) == sorted(f"e{n}" for n in range(len(times_ms)))


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
    assert (kept.event_count, kept.entry and kept.entry[2], kept.exit and kept.exit[2]) == (
        3,
        "/p1",
        "/p3",
    )
    assert outs[2].events[0].session_id == kept.session_id


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
    assert out.sessions[0].revenue_micros == 49_990_000
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
