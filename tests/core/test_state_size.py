"""What is remembered of a subject has a size that nothing that comes can pass."""

from __future__ import annotations

from itertools import product
from random import Random
from string import ascii_uppercase

import msgspec
import pytest

from tables.state import StateCodec
from tests.core.visiting import GAP, START, apply, envelope, page
from trackstream.core.funnels import Funnel, Step
from trackstream.core.live_funnels import LiveFunnel, LiveFunnels
from trackstream.core.records import Campaign, Context, RawEvent, Session, Touch
from trackstream.core.rules import DEFAULT, Rules
from trackstream.core.session_bounds import MOST_BYTES
from trackstream.core.visitor import VisitorState, learnt, passed

MOST_STATE_BYTES = 512 * 1024
CODEC = StateCodec(VisitorState, 1)
CODES = ["".join(code) for code in product(ascii_uppercase, repeat=3)]
TEXTS = ("x" * 512, "\N{PILE OF POO}" * 512)
ARRIVAL = START + 10**10
URLS = ("https://x/" + "a" * 8_000, "\N{PILE OF POO}" * 8_192)


def worst(random: Random, n: int, at_ms: int) -> RawEvent:
    text = random.choice(TEXTS)
    names = [name for name in Campaign.__struct_fields__ if name != "click_ids"]
    return page(
        n,
        at_ms,
        context=Context(page_url=random.choice(URLS), os_name=text[:64], device_model=text[:128]),
        campaign=Campaign(
            **dict.fromkeys(names, f"{n}{text}"),
            click_ids={f"{n}{k}{text}": text for k in range(20)},
        ),
        user_id=random.choice([None, f"{n}{text}"[:256]]),
        session_id=f"{random.randrange(300)}{text}"[:256],
        properties=f'{{"revenue": 999999999999, "currency": "{random.choice(CODES)}"}}',
    )


@pytest.mark.parametrize("gap_ms", [GAP + 60_000, 29 * 60_000, 60_000])
@pytest.mark.parametrize(
    "rules",
    [DEFAULT, Rules(session_per_campaign=True), Rules(client_sessions=True)],
    ids=["plain", "by_campaign", "by_the_clients_ids"],
)
def test_the_state_stays_small_and_every_event_counts_once(rules: Rules, gap_ms: int) -> None:
    random, state = Random(gap_ms), None
    known: dict[str, Session] = {}
    for offset in range(6):
        batch = [
            worst(random, n, START + n * gap_ms) for n in range(offset * 100, offset * 100 + 100)
        ]
        random.shuffle(batch)
        state, out = apply(state, envelope(*batch, received_at_ms=ARRIVAL + offset), offset, rules)
        assert len(CODEC.encode(state)) < MOST_STATE_BYTES
        assert len(msgspec.msgpack.encode(state.sessions)) < MOST_BYTES + 1_000
        assert len(state.sessions) <= rules.max_sessions
        assert all(one.session_id for one in out.events)
        known |= {one.session_id: one for one in out.sessions}
    assert state is not None
    _, last = passed(state, at_ms=ARRIVAL + 10**10, rules=rules)
    known |= {one.session_id: one for one in last}
    assert {one.status for one in known.values()} <= {"closed", "merged"}
    if not rules.client_sessions:
        counted = [one.event_count for one in known.values() if one.status == "closed"]
        assert sum(counted) == 600


def test_all_else_that_is_remembered_has_its_bound_too() -> None:
    funnels = LiveFunnels.of(
        LiveFunnel(
            Funnel(
                name=f"{n:064}",
                by="session",
                within_ms=1,
                steps=(Step(events=("page_view",)), Step(events=("page_view",))),
            ),
            START,
        )
        for n in range(40)
    )
    random, state = Random(1), None
    for n in range(10):
        news = Touch(
            touch_id=f"t{n}",
            app_id="app",
            kind="click",
            at_ms=ARRIVAL + n,
            identifiers=["cookie:c"],
            click_id=f"t{n}",
            ad_group=TEXTS[1][:256],
            creative=TEXTS[1][:256],
            keyword=TEXTS[1][:256],
            network=TEXTS[1][:256],
        )
        state = learnt(state, news, subject="app|cookie:c", offset=n)
    ids = iter(range(10_000))
    for offset, times_ms in enumerate([[0] * 1_000] * 4 + [[n * 2 * GAP for n in range(150)]], 10):
        batch = [page(next(ids), START + at_ms, "view") for at_ms in times_ms]
        if any(times_ms):
            batch = [worst(random, next(ids), ARRIVAL - at_ms) for at_ms in times_ms]
        one = envelope(*batch, received_at_ms=ARRIVAL)
        state, _ = apply(state, one, offset, funnels=funnels)
        assert len(CODEC.encode(state)) < MOST_STATE_BYTES
    assert state is not None
    assert (len(state.recent), len(state.touches), len(state.funnels)) == (4_096, 5, 32)


def test_more_sessions_than_are_kept_are_published_as_closed_at_once_the_oldest_first() -> None:
    few = Rules(max_sessions=3)
    state, out = apply(None, envelope(*(page(n, START + n * 2 * GAP) for n in range(5))), 0, few)
    assert [one.start[0] for one in state.sessions] == [START + n * 2 * GAP for n in (2, 3, 4)]
    assert [(one.status, one.revision) for one in out.sessions] == [
        *[("open", 1)] * 3,
        *[("closed", 1)] * 2,
    ]
    assert [one.session_id for one in out.events] == [
        one.session_id for one in sorted(out.sessions, key=lambda one: one.started_at_ms)
    ]
    state, out = apply(state, envelope(page(9, START + 4 * GAP + 1)), 1, few)
    assert out.sessions == []
    state, out = apply(state, envelope(page(10, START + 20 * GAP)), 2, few)
    first = START + 4 * GAP
    assert {
        (one.started_at_ms, one.status, one.revision, one.event_count) for one in out.sessions
    } == {
        (first, "closed", 2, 2),
        (START + 20 * GAP, "open", 1, 1),
    }


def test_a_session_keeps_of_texts_what_it_takes_to_know_them() -> None:
    url = "https://x/" + "\N{PILE OF POO}" * 2_000
    event = page(
        1, START, context=Context(page_url=url), campaign=Campaign(utm_source="\xe9" * 512)
    )
    _, out = apply(None, envelope(event), 0)
    (session,) = out.sessions
    assert session.campaign == Campaign(utm_source="\xe9" * 128)
    assert session.entry_page is not None
    assert url.startswith(session.entry_page)
    assert 1_020 < len(session.entry_page.encode()) <= 1_024
    (published,) = out.events
    assert published.context == event.context
    assert published.campaign == event.campaign
