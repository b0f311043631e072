"""Which touch an event is given, whatever its subject's touches, decisions and events came like."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.visiting import apply, page
from trackstream.core.last_touch import MOST_TOUCHES
from trackstream.core.records import Envelope, Event, LastTouch, Outcome, Touch
from trackstream.core.rules import DAY_MS, DEFAULT, HOUR_MS, Rules
from trackstream.core.visits import VisitorState, due_ms, learnt, passed

START = 1_400_000_000_000
SUBJECT = "app|cookie:c"


@dataclass(frozen=True)
class Seen:
    """An event of the subject, in an envelope of its own."""

    at_ms: int
    delay_ms: int

    @property
    def received_at_ms(self) -> int:
        return self.at_ms + self.delay_ms


News = Seen | Touch | Outcome


def touch(name: str, at_ms: int, kind: str = "click") -> Touch:
    return Touch(
        touch_id=name,
        app_id="app",
        kind=kind,
        at_ms=at_ms,
        identifiers=["cookie:c"],
        click_id=name,
        campaign_id=f"campaign-{name}",
    )


def decision(conversion: str, revision: int, of: Touch | None) -> Outcome:
    return Outcome(
        app_id="app",
        identifier="cookie:c",
        conversion_id=conversion,
        kind="install",
        at_ms=START,
        revision=revision,
        method="click_probabilistic" if of else "organic",
        touch=of,
    )


def step(
    state: VisitorState | None, news: News, offset: int, rules: Rules = DEFAULT
) -> tuple[VisitorState | None, Event | None]:
    if not isinstance(news, Seen):
        return learnt(state, news, subject=SUBJECT, offset=offset), None
    envelope = Envelope(
        app_id="app",
        subject=SUBJECT,
        received_at_ms=news.received_at_ms,
        events=[page(offset, news.at_ms)],
    )
    after, out = apply(state, envelope, offset, rules)
    return after, out.events[0]


def run(said: list[News]) -> tuple[VisitorState | None, list[Event | None]]:
    state, events = None, []
    for offset, news in enumerate(said):
        state, event = step(state, news, offset)
        events.append(event)
    return state, events


def wanted(said: list[News], offset: int) -> LastTouch | None:
    """What the event at this offset is given, by one who looks at all that was said before it."""
    seen = said[offset]
    assert isinstance(seen, Seen)
    told: dict[str, Touch] = {}
    decided: dict[str, Outcome] = {}
    for news in said[:offset]:
        if isinstance(news, Touch):
            told[news.touch_id] = news
        elif isinstance(news, Outcome):
            old = decided.get(news.conversion_id)
            if old is None or old.revision < news.revision:
                decided[news.conversion_id] = news
    pool = [(one, "") for one in told.values()]
    pool += [(one.touch, one.method) for one in decided.values() if one.touch]
    until_ms = seen.at_ms + min(seen.delay_ms, DEFAULT.clock_tolerance_ms)
    fit = sorted(
        (one.kind == "click", one.at_ms, method, one.touch_id)
        for one, method in pool
        if one.at_ms <= until_ms
        and seen.at_ms - one.at_ms <= (7 if one.kind == "click" else 1) * DAY_MS
    )
    if not fit:
        return None
    is_click, at_ms, method, name = fit[-1]
    return LastTouch(
        touch_id=name,
        kind="click" if is_click else "impression",
        at_ms=at_ms,
        campaign_id=f"campaign-{name}",
        method=method or None,
    )


# All within what is remembered however late it is told: a view's window and seven days.
times_ms = st.integers(0, 180).map(lambda n: START + n * HOUR_MS)
touches = st.builds(
    lambda n, at_ms: touch(f"t{n}-{at_ms}", at_ms, "click" if n else "impression"),
    st.integers(0, 2),
    times_ms,
)
decisions = st.builds(decision, st.sampled_from("ab"), st.integers(1, 3), st.none() | touches)
seen = st.builds(Seen, times_ms, st.sampled_from([0, 20_000, 10 * HOUR_MS]))


@st.composite
def histories(draw: st.DrawFn) -> list[News]:
    """Few enough touches for all of them to be remembered.

    Decisions of a conversion come in order; then each of them may be told again.
    """
    known: list[News] = draw(st.lists(touches | decisions, max_size=MOST_TOUCHES))
    first: dict[tuple[str, int], Outcome] = {}
    for one in known:
        if isinstance(one, Outcome):
            first.setdefault((one.conversion_id, one.revision), one)
    told: list[News] = [
        first[one.conversion_id, one.revision] if isinstance(one, Outcome) else one for one in known
    ]
    events: list[News] = draw(st.lists(seen, min_size=1, max_size=5))
    again: list[News] = draw(st.lists(st.sampled_from(told), max_size=3)) if told else []
    said: list[News] = []
    newest: dict[str, int] = {}
    for one in draw(st.permutations([*told, *events, *again])):
        if isinstance(one, Outcome):
            if one not in said and one.revision < newest.get(one.conversion_id, 0):
                continue
            newest[one.conversion_id] = max(one.revision, newest.get(one.conversion_id, 0))
        said.append(one)
    return said


@settings(max_examples=300, deadline=None)
@given(said=histories())
def test_an_event_is_given_what_the_reference_gives_it(said: list[News]) -> None:
    _, events = run(said)
    for offset, event in enumerate(events):
        if event is not None:
            assert event.touch == wanted(said, offset)


@settings(max_examples=200, deadline=None)
@given(said=histories(), cut=st.integers(0, 20))
def test_a_replay_changes_nothing_and_gives_the_same(said: list[News], cut: int) -> None:
    state, events = run(said)
    again = state
    for offset in range(min(cut, len(said)), len(said)):
        again, event = step(again, said[offset], offset)
        assert (event and event.touch) == (events[offset] and events[offset].touch)  # type: ignore[union-attr] # of both, or of none
    assert again == state


@settings(max_examples=100, deadline=None)
@given(said=st.lists(touches | st.builds(decision, st.uuids().map(str), st.just(1), touches)))
def test_few_are_remembered_and_the_newest_click_is_among_them(said: list[News]) -> None:
    state, _ = run(said)
    held = state.touches if state else []
    assert len(held) <= MOST_TOUCHES
    ranks = {
        (one.kind == "click", one.at_ms, one.touch_id)
        for news in said
        for one in [news.touch if isinstance(news, Outcome) else news]
        if isinstance(one, Touch)
    }
    assert {name for *_, name in sorted(ranks)[-1:]} <= {one.touch.touch_id for one in held}
    assert len(msgspec.msgpack.encode(held)) < 200 * MOST_TOUCHES


def test_who_only_clicked_has_no_session_and_time_passes_it_by() -> None:
    state, _ = step(None, touch("t", START), 7)
    assert state is not None
    assert (state.app_id, state.subject, state.sessions) == ("app", SUBJECT, [])
    assert due_ms(state, rules=DEFAULT) is None
    assert passed(state, at_ms=START + DAY_MS, rules=DEFAULT) == (state, [])
    after, event = step(state, Seen(START + HOUR_MS, 0), 8)
    assert after is not None
    assert len(after.sessions) == 1
    assert event is not None
    assert event.touch is not None
    assert event.touch.campaign_id == "campaign-t"


def test_nothing_new_leaves_the_very_state() -> None:
    assert learnt(None, decision("a", 1, None), subject=SUBJECT, offset=0) is None
    state, _ = run([touch("t", START), decision("a", 2, touch("u", START))])
    again: list[News] = [touch("t", START), decision("a", 2, touch("u", START))]
    for offset, news in enumerate([*again, decision("a", 1, None)], 2):
        assert step(state, news, offset)[0] is state


def test_a_revision_replaces_what_was_decided_and_keeps_what_the_subject_did_itself() -> None:
    own, guessed, better = (touch(name, START + n) for n, name in enumerate(["own", "g", "b"]))
    at = Seen(START + HOUR_MS, 0)
    said: list[News] = [own, decision("a", 1, guessed), at, decision("a", 2, better), at]
    _, events = run([*said, decision("a", 3, None), at])
    names = [event.touch.touch_id for event in events if event and event.touch]
    assert names == ["g", "b", "own"]


def test_touches_that_no_event_can_be_given_are_forgotten() -> None:
    state, _ = run([touch("t", START), touch("i", START, "impression")])
    kept_ms = DEFAULT.session_memory_ms
    for later_ms, left in (
        (DAY_MS, "ti"),
        (DAY_MS + kept_ms + 1, "t"),
        (7 * DAY_MS + kept_ms, "t"),
    ):
        after, _ = step(state, Seen(START + later_ms, 0), 2)
        assert after is not None
        assert "".join(one.touch.touch_id for one in after.touches) == left


@pytest.mark.parametrize(
    ("later_ms", "delay_ms", "expected"),
    [(5_000, 20_000, "t"), (5_000, 1_000, None), (61_000, 90_000, None), (0, 0, "t")],
)
def test_a_clock_a_little_behind_does_not_lose_the_click(
    later_ms: int, delay_ms: int, expected: str | None
) -> None:
    _, (_, event) = run([touch("t", START + later_ms), Seen(START, delay_ms)])
    assert event is not None
    assert (event.touch and event.touch.touch_id) == expected
