"""Sessions and counts do not depend on the order, the batches or the repetition of events."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.visiting import GAP, NOW, START, apply, envelope, page, run
from trackstream.core.records import Campaign, Context, RawEvent, Session
from trackstream.core.rules import DAY_MS, DEFAULT, HOUR_MS, Rules
from trackstream.core.sessions import SessionState
from trackstream.core.visits import VisitorState, passed

PER_CAMPAIGN = Rules(session_per_campaign=True)
BY_CLIENT = Rules(client_sessions=True)
SHORT = Rules(session_cap_ms=3 * HOUR_MS)
BOTH = Rules(session_cap_ms=3 * HOUR_MS, session_per_campaign=True)
LATER = START + 400 * DAY_MS


def newest(records: list[Session]) -> dict[str, Session]:
    """What the warehouse keeps: the highest revision of each session that still counts."""
    last: dict[str, Session] = {}
    for one in records:
        if one.session_id not in last or one.revision > last[one.session_id].revision:
            last[one.session_id] = one
    return {key: one for key, one in last.items() if one.status != "merged"}


def reference(events: list[RawEvent], rules: Rules) -> list[dict[str, Any]]:
    """The sessions of the events, by sorting them first."""
    held: list[list[RawEvent]] = []
    if rules.client_sessions:
        names = sorted({e.session_id for e in events if e.session_id})
        held = [[e for e in events if e.session_id == name] for name in names]
        events = [e for e in events if not e.session_id]
    in_order = sorted(events, key=lambda e: e.timestamp_ms)
    slot_ms = 1 if rules.session_per_campaign else rules.session_cap_ms // 24
    timed: list[list[RawEvent]] = []
    for i, event in enumerate(in_order):
        if not timed:
            timed.append([event])
            continue
        before, first = in_order[i - 1], timed[-1][0]
        gap = event.timestamp_ms - before.timestamp_ms > rules.session_gap_ms
        new_slot = event.timestamp_ms // slot_ms != before.timestamp_ms // slot_ms
        rest = in_order[i:]
        slot = [event]
        for one in rest[1:]:
            if (
                one.timestamp_ms // slot_ms != event.timestamp_ms // slot_ms
                or one.timestamp_ms - slot[-1].timestamp_ms > rules.session_gap_ms
            ):
                break
            slot.append(one)
        too_long = slot[-1].timestamp_ms - first.timestamp_ms > rules.session_cap_ms
        another = rules.session_per_campaign and is_another(event.campaign, timed[-1])
        if gap or another or (new_slot and too_long):
            timed.append([event])
        else:
            timed[-1].append(event)
    return sorted((summed(one) for one in [*held, *timed]), key=in_time)


def is_another(campaign: Campaign | None, session: list[RawEvent]) -> bool:
    """Whether it is not the last one, or has a kind of click id that the session has not."""
    named = [e.campaign for e in session if e.campaign]
    if campaign is None or not named:
        return campaign is not None
    kinds = {kind for one in named for kind in one.click_ids}
    return campaign.campaign_id != named[-1].campaign_id or not campaign.click_ids.keys() <= kinds


def in_time(one: dict[str, Any]) -> tuple[int, int, int]:
    return one["start"], one["end"], one["events"]


def summed(events: list[RawEvent]) -> dict[str, Any]:
    in_order = sorted(events, key=lambda e: e.timestamp_ms)
    pages = [e.context.page_url for e in in_order if e.event == "page_view" and e.context]
    revenue: dict[str, int] = {}
    for one in events:
        said = json.loads(one.properties)
        if said and one.event in {"purchase", "sign_up"}:
            revenue[said["currency"]] = revenue.get(said["currency"], 0) + said["value"] * 10**6
    bought = [e for e in events if e.event in {"purchase", "sign_up"}]
    return {
        "start": in_order[0].timestamp_ms,
        "end": in_order[-1].timestamp_ms,
        "duration": in_order[-1].timestamp_ms - in_order[0].timestamp_ms,
        "events": len(events),
        "pages": len(pages),
        "bounced": len(events) == 1 and not bought,
        "conversions": (len(bought), sorted({e.event for e in bought})),
        "revenue": revenue,
        "entry": pages[0] if pages else None,
        "exit": pages[-1] if pages else None,
        "campaign": next((e.campaign for e in in_order if e.campaign), None),
        "os": next((e.context.os_name for e in in_order if e.context and e.context.os_name), None),
        "client_id": None,
    }


def shown(one: Session) -> dict[str, Any]:
    return {
        "start": one.started_at_ms,
        "end": one.ended_at_ms,
        "duration": one.duration_ms,
        "events": one.event_count,
        "pages": one.page_views,
        "bounced": one.bounced,
        "conversions": (one.conversions, one.conversion_names),
        "revenue": one.revenue_micros,
        "entry": one.entry_page,
        "exit": one.exit_page,
        "campaign": one.campaign,
        "os": one.os_name,
        "client_id": None,
    }


# Times are unique, for the reference to have one order; ties have a test of their own.
TIMES = st.lists(
    st.integers(0, 30).map(lambda n: START + n * GAP // 2)
    | st.integers(0, 40).map(lambda n: START + 1 + n * (GAP - 1))
    | st.integers(0, 6 * GAP).map(lambda n: START + n),
    min_size=1,
    max_size=25,
    unique=True,
)
KINDS = st.sampled_from(["page_view", "page_view", "purchase", "sign_up", "scroll"])
PROPERTIES = st.sampled_from(["{}", '{"value":3,"currency":"EUR"}', '{"value":1,"currency":"USD"}'])
CAMPAIGNS = st.sampled_from(
    [
        *(None, None, None),
        *(Campaign(campaign_id="a"), Campaign(campaign_id="b")),
        Campaign(campaign_id="a", click_ids={"gclid": "1"}),
        Campaign(campaign_id="a", click_ids={"fbclid": "2"}),
    ]
)


@st.composite
def histories(draw: st.DrawFn) -> list[RawEvent]:
    return [
        page(
            n,
            at_ms,
            draw(KINDS),
            properties=draw(
                st.sampled_from(
                    ["{}", '{"value":3,"currency":"EUR"}', '{"value":1,"currency":"USD"}']
                )
            ),
            campaign=draw(CAMPAIGNS),
            session_id=draw(st.sampled_from([None, None, "one", "two"])),
            context=Context(
                page_url=f"/p{n}", os_name=draw(st.sampled_from([None, "iOS", "Android"]))
            ),
        )
        for n, at_ms in enumerate(draw(TIMES))
    ]


def played(
    events: list[RawEvent], random: Random, rules: Rules
) -> tuple[VisitorState, list[Session], list[str]]:
    """In random order, batches and repetition, with time passing now and then."""
    events = random.sample(events, len(events))
    batches: list[list[RawEvent]] = []
    while events:
        size = random.randint(1, min(len(events), 6))
        batches.append([events.pop() for _ in range(size)])
    batches += random.choices(batches, k=random.randint(0, 3))
    state: VisitorState | None = None
    records: list[Session] = []
    sent: list[str] = []
    for offset, batch in enumerate(batches):
        state, out = apply(state, envelope(*batch, received_at_ms=LATER), offset, rules)
        records += out.sessions
        sent += [event.event_id for event in out.events]
        if random.random() < 0.3:
            state, some = passed(state, at_ms=START + random.randint(0, 40 * GAP), rules=rules)
            records += some
    assert state is not None
    state, some = passed(state, at_ms=LATER, rules=rules)
    return state, [*records, *some], sent


@pytest.mark.parametrize("rules", [DEFAULT, SHORT, PER_CAMPAIGN, BOTH, BY_CLIENT])
@settings(max_examples=600, deadline=None)
@given(events=histories(), seed=st.integers(0, 2**32))
def test_any_order_batching_and_repetition_gives_the_sessions_of_the_sorted_events(
    rules: Rules, events: list[RawEvent], seed: int
) -> None:
    _, records, sent = played(events, Random(seed), rules)
    kept = newest(records)
    got = sorted((shown(one) for one in kept.values()), key=in_time)
    assert got == reference(events, rules)
    assert {one.status for one in kept.values()} == {"closed"}
    assert sorted(sent) == sorted(event.event_id for event in events)
    revisions = [(one.session_id, one.revision) for one in records]
    assert len(set(revisions)) == len(revisions)
    for one in records:
        assert leads_to(one.session_id, records) in kept


def leads_to(session_id: str, records: list[Session]) -> str:
    """The session that a withdrawn one leads to in the end; raises if it goes round in circles."""
    for _ in records:
        mine = [one for one in records if one.session_id == session_id]
        last = max(mine, key=lambda one: one.revision)
        if last.merged_into is None:
            return session_id
        session_id = last.merged_into
    raise AssertionError(session_id)


def every_twenty_minutes(hours: int) -> list[RawEvent]:
    return [page(n, START + n * 20 * 60_000) for n in range(hours * 3 + 1)]


def test_no_session_is_longer_than_a_day() -> None:
    events = every_twenty_minutes(60)
    Random(1).shuffle(events)
    state, records, _ = played(events, Random(1), DEFAULT)
    kept = sorted(newest(records).values(), key=lambda one: one.started_at_ms)
    assert [one.event_count for one in kept] == [73, 72, 36]
    assert all(one.duration_ms <= DAY_MS for one in kept)
    assert sum(one.event_count for one in kept) == len(events)
    assert len(state.sessions) == 3


def test_a_day_to_the_millisecond_is_one_session() -> None:
    hour = START - START % HOUR_MS
    events = [page(n, hour + n * GAP) for n in range(49)]
    one, _ = run([events])
    assert len(one.sessions) == 1
    two, _ = run([[*events, page(50, hour + DAY_MS + 1)]])
    assert len(two.sessions) == 2


def test_a_late_event_that_moves_a_cut_keeps_ids_and_withdraws_nothing() -> None:
    state, outs = run([[event] for event in every_twenty_minutes(30)])
    before = [one.session_id for one in state.sessions]
    assert len(before) == 2
    state, out = apply(state, envelope(page(999, START - GAP)), len(outs))
    assert [one.session_id for one in state.sessions] == before
    assert out.sessions == []
    assert all(one.changed for one in state.sessions)


def test_a_late_event_may_split_a_session() -> None:
    rules = PER_CAMPAIGN
    a, b = Campaign(campaign_id="a"), Campaign(campaign_id="b")
    state, first = apply(
        None, envelope(page(1, START, campaign=a), page(3, START + 3), page(4, START + 4)), 0, rules
    )
    state, out = apply(state, envelope(page(2, START + 2, campaign=b)), 1, rules)
    assert [sum(c.event_count for c in one.cells) for one in state.sessions] == [1, 3]
    assert state.sessions[0].session_id == first.sessions[0].session_id
    assert [(one.status, one.event_count) for one in out.sessions] == [("open", 3)]
    # b turns out to have been named a moment before: two sessions become one, then are two again
    again = Campaign(campaign_id="a")
    state, out = apply(state, envelope(page(5, START + 1, campaign=again)), 2, rules)
    assert len(state.sessions) == 2


def test_another_click_on_the_same_campaign_begins_no_session() -> None:
    clicks = [Campaign(campaign_id="a", click_ids={"gclid": str(n)}) for n in range(2)]
    events = [page(n, START + n, campaign=one) for n, one in enumerate(clicks)]
    state, _ = apply(None, envelope(*events), 0, PER_CAMPAIGN)
    assert len(state.sessions) == 1


def test_another_networks_click_begins_a_session_though_nothing_else_names_it() -> None:
    def named(*kinds: str) -> Campaign:
        return Campaign(click_ids={kind: f"{kind}-{len(kinds)}" for kind in kinds})

    stripped = Campaign(campaign_id="a")
    tagged = msgspec.structs.replace(stripped, click_ids={"gclid": "1"})
    for campaigns, count in (
        ([named("gclid"), named("gclid")], 1),
        ([named("gclid"), named("fbclid")], 2),
        ([named("gclid"), named("fbclid"), named("gclid")], 3),
        ([named("gclid", "gbraid"), named("gclid")], 1),
        ([tagged, stripped, tagged], 1),
        ([stripped, tagged], 2),
    ):
        events = [page(n, START + n * 600_000, campaign=one) for n, one in enumerate(campaigns)]
        state, _ = apply(None, envelope(*events), 0, PER_CAMPAIGN)
        assert len(state.sessions) == count, campaigns


def test_a_campaign_after_events_without_one_begins_a_session_if_the_rules_say_so() -> None:
    events = [page(1, START), page(2, START + 1, campaign=Campaign(utm_source="s"))]
    for rules, count in ((DEFAULT, 1), (PER_CAMPAIGN, 2)):
        state, _ = apply(None, envelope(*events), 0, rules)
        assert len(state.sessions) == count


def test_clients_ids_make_sessions_only_where_they_are_honoured() -> None:
    events = [
        page(1, START, session_id="x"),
        page(2, START + 9 * GAP, session_id="x"),
        page(3, START),
    ]
    state, out = apply(None, envelope(*events), 0, BY_CLIENT)
    assert sorted((s.event_count, s.client_session_id) for s in out.sessions) == [
        (1, None),
        (2, "x"),
    ]
    assert out.events[0].session_id == out.events[1].session_id != out.events[2].session_id
    state, out = apply(None, envelope(*events), 0, DEFAULT)
    assert sorted((s.event_count, s.client_session_id) for s in out.sessions) == [
        (1, None),
        (2, None),
    ]
    assert len(state.sessions) == 2


def test_events_of_one_millisecond_have_an_order() -> None:
    events = [
        page(n, START, context=Context(page_url=f"/p{n}", os_name=f"os{n}")) for n in range(6)
    ]
    ends = set()
    for seed in range(8):
        _, records, _ = played(events, Random(seed), DEFAULT)
        (one,) = newest(records).values()
        ends.add((one.entry_page, one.exit_page, one.os_name))
    assert len(ends) == 1


def test_state_stays_small_however_many_campaigns_a_session_names() -> None:
    state: VisitorState | None = None
    for n in range(60):
        events = [page(10 * n + i, START + (10 * n + i) * 1000) for i in range(10)]
        state, _ = apply(state, envelope(*events), n, PER_CAMPAIGN)
    assert state is not None
    (one,) = state.sessions
    assert isinstance(one, SessionState)
    assert len(one.cells) < 512
    assert sum(cell.event_count for cell in one.cells) == 600


def test_a_session_of_ten_events_takes_little_room() -> None:
    state, _ = apply(None, envelope(*(page(n, NOW + n) for n in range(10))), 0)
    assert len(state.sessions[0].cells) == 1


def test_a_clients_id_that_is_used_again_when_it_was_forgotten_is_another_session() -> None:
    state, records = None, list[Session]()
    for n, (day, client_id) in enumerate([(0, "1"), (0, "1"), (0, "1"), (8, "2"), (9, "1")]):
        at_ms = START + day * DAY_MS + n * 1000
        event = page(n, at_ms, session_id=client_id)
        state, out = apply(state, envelope(event, received_at_ms=at_ms), n, BY_CLIENT)
        state, ticked = passed(state, at_ms=at_ms + 2 * GAP, rules=BY_CLIENT)
        records += [*out.sessions, *ticked]
    kept = newest(records).values()
    found = sorted((one.started_at_ms, one.client_session_id, one.event_count) for one in kept)
    assert found == [
        (START, "1", 3),
        (START + 8 * DAY_MS + 3000, "2", 1),
        (START + 9 * DAY_MS + 4000, "1", 1),
    ]
