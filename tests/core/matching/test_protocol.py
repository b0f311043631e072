"""Whatever the order of arrival, every conversion ends in the decision of one who sees all."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.matching.world import Scenario, World, conversion, reference, touch
from trackstream.core.credits import MODELS, credits_of
from trackstream.core.matching import gather as gathering
from trackstream.core.matching import owner
from trackstream.core.records import Answer
from trackstream.core.rules import FraudRules, Rules

# Times here are some milliseconds apart: no click is too short before its install.
FRAUD = FraudRules(min_click_to_install_ms=0)
RULES = Rules(click_window_ms=50, view_window_ms=20, fraud=FRAUD)
IDENTIFIERS = [f"device:{n}" for n in range(5)] + [f"user:{n}" for n in range(3)]
FINGERPRINTS = ["fp:0", "fp:1"]

times = st.integers(0, 100)
some = st.lists(st.sampled_from(IDENTIFIERS), min_size=1, max_size=3, unique=True)
more = st.builds(list.__add__, some, st.lists(st.sampled_from(FINGERPRINTS), max_size=1))
scenarios = st.builds(
    Scenario,
    touches=st.lists(
        st.tuples(times, more, st.sampled_from(["click", "impression"])), max_size=8
    ).map(
        lambda all_: [
            touch(f"t{n}", at, [f"click:t{n}", *ids], kind=k) for n, (at, ids, k) in enumerate(all_)
        ]
    ),
    named=st.lists(
        st.tuples(st.sampled_from(IDENTIFIERS), st.sampled_from(["t0", "t1", "t2"])), max_size=3
    ),
    links=st.lists(
        st.lists(st.sampled_from(IDENTIFIERS), min_size=2, max_size=2, unique=True).map(
            lambda pair: (pair[0], pair[1])
        ),
        max_size=6,
    ),
    conversions=st.lists(
        st.tuples(times, more, st.sampled_from(["install", "event", "reengagement"])),
        min_size=1,
        max_size=5,
    ).map(
        lambda all_: [conversion(f"c{n}", at, ids, kind=k) for n, (at, ids, k) in enumerate(all_)]
    ),
)


def outcome(world: World) -> dict[str, tuple[object, ...]]:
    return {
        key: (
            last.method,
            last.touch and last.touch.touch_id,
            last.inherited_from,
            last.credits,
            last.confidence,
        )
        for key, all_ in world.published.items()
        for last in [max(all_, key=lambda a: a.revision)]
    }


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios, seed=st.integers(0, 2**32))
def test_any_order_ends_in_the_same_decisions(scenario: Scenario, seed: int) -> None:
    asked = {one.conversion_id: one for one in scenario.conversions}
    want = {
        key: (
            one.method,
            one.touch and one.touch.touch_id,
            one.inherited_from,
            credits_of(asked[key], one, rules=RULES, models=MODELS)[0],
            one.confidence,
        )
        for key, one in reference(scenario, RULES).items()
    }
    for order in range(2):
        world = World(rules=RULES, random=Random(seed + order))
        world.run(scenario)
        assert outcome(world) == want
        won = {key: one.touch.touch_id for key, one in world.won.items() if one.touch}
        assert won == {
            key: touch_id
            for key, (_, touch_id, *_) in want.items()
            if touch_id and asked[key].kind != "event"
        }


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios, seed=st.integers(0, 2**32))
def test_revisions_count_up_and_each_has_one_content(scenario: Scenario, seed: int) -> None:
    world = World(rules=RULES, random=Random(seed), redeliveries=100)
    world.run(scenario)
    for records in world.published.values():
        by_revision: dict[int, set[tuple[object, ...]]] = {}
        for one in records:
            said = (
                one.method,
                one.touch and one.touch.touch_id,
                one.inherited_from,
                one.confidence,
                tuple((c.model, c.touch_id, c.share_millionths) for c in one.credits),
            )
            by_revision.setdefault(one.revision, set()).add(said)
        assert sorted(by_revision) == list(range(1, max(by_revision) + 1))
        assert all(len(contents) == 1 for contents in by_revision.values())


@pytest.mark.parametrize("left_out", ["touches", "links", "priors", "claimed"])
def test_the_property_notices_news_that_is_not_forwarded(
    left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The property is worth something: leave out one kind of news, and it fails."""
    real = owner.own

    def deaf(*args: object, **kwargs: object) -> object:
        state, answers = real(*args, **kwargs)  # type: ignore[arg-type] # passed through
        return state, [a for a in answers if a.depth is not None or not getattr(a, left_out)]

    monkeypatch.setattr("tests.core.matching.world.own", deaf)
    with pytest.raises(AssertionError):
        test_any_order_ends_in_the_same_decisions()


def test_a_missing_answer_is_waited_for_until_the_deadline_then_named_then_revised() -> None:
    rules = Rules(answer_deadline_ms=1000, fraud=FRAUD)
    asked = conversion("c", 50, ["device:a", "user:b"])
    first = Answer(conversion=asked, identifier="device:a", depth=0)
    state, out = gathering.gather(None, first, offset=0, at_ms=100, rules=rules)
    assert out.attribution is None
    assert gathering.deadline_ms(state) == 1100

    early, out = gathering.expire(state, at_ms=1099, rules=rules)
    assert (early, out.attribution) == (state, None)

    state, out = gathering.expire(state, at_ms=1100, rules=rules)
    assert out.attribution is not None
    assert (out.attribution.method, out.attribution.unanswered) == ("organic", ["user:b"])

    clicked = touch("t", 40, ["user:b"])
    late = Answer(conversion=asked, identifier="user:b", depth=0, touches=[clicked])
    state, out = gathering.gather(state, late, offset=1, at_ms=2000, rules=rules)
    assert out.attribution is not None
    assert out.attribution.revision == 2
    assert out.attribution.method == "click_deterministic"
    assert out.attribution.previous_method == "organic"
    assert out.attribution.unanswered == []

    same, again = gathering.gather(state, late, offset=1, at_ms=3000, rules=rules)
    assert same == state
    assert again.attribution == out.attribution


def test_a_replay_of_the_log_does_not_end_the_waiting_for_an_answer() -> None:
    asked = conversion("c", 50, ["device:a"])
    first = Answer(conversion=asked, identifier="device:a", depth=0)
    linked = Answer(conversion=asked, identifier="device:a", links=["user:b"])
    clicked = touch("t", 40, ["user:b"])
    last = Answer(conversion=asked, identifier="user:b", depth=1, touches=[clicked])
    state, _ = gathering.gather(None, first, offset=0, at_ms=100, rules=RULES)
    waiting, out = gathering.gather(state, linked, offset=1, at_ms=200, rules=RULES)
    assert [one.identifier for one in out.probes] == ["user:b"]

    for offset, message in enumerate((first, linked)):
        same, again = gathering.gather(waiting, message, offset=offset, at_ms=300, rules=RULES)
        assert same == waiting
        assert again.attribution is None
        assert [one.identifier for one in again.probes] == ["user:b"]
    _, out = gathering.gather(waiting, last, offset=2, at_ms=400, rules=RULES)
    assert out.attribution is not None
    assert (out.attribution.revision, out.attribution.unanswered) == (2, [])


def test_a_late_touch_that_changes_only_the_credits_is_a_revision_of_its_own() -> None:
    asked = conversion("c", 50, ["device:a"])
    newest, older = touch("new", 45, ["device:a"]), touch("old", 40, ["device:a"])
    first = Answer(conversion=asked, identifier="device:a", depth=0, touches=[newest])
    state, out = gathering.gather(None, first, offset=0, at_ms=100, rules=RULES)
    assert out.attribution is not None
    assert {one.touch_id for one in out.attribution.credits} == {"new"}

    late = Answer(conversion=asked, identifier="device:a", touches=[older])
    state, out = gathering.gather(state, late, offset=1, at_ms=200, rules=RULES)
    assert out.attribution is not None
    assert (out.attribution.revision, out.attribution.touch) == (2, newest)
    assert {one.touch_id for one in out.attribution.credits} == {"new", "old"}

    again = Answer(conversion=asked, identifier="device:a", touches=[older])
    _, out = gathering.gather(state, again, offset=2, at_ms=300, rules=RULES)
    assert out.attribution is None


@pytest.mark.parametrize("seed", range(40))
def test_what_is_taken_over_is_as_sure_as_what_it_is_taken_from(seed: int) -> None:
    """Also when all that changes is how sure: another device was seen behind the address."""
    looks = {"os_version": "14", "device_model": "K"}
    mine = msgspec.structs.replace(touch("mine", 40, ["fp:0"]), **looks)
    anothers = msgspec.structs.replace(touch("anothers", 30, ["fp:0"]), os_version="9")
    install, back = (
        msgspec.structs.replace(conversion(name, at_ms, ["device:0", "fp:0"]), **looks)
        for name, at_ms in (("install", 50), ("back", 60))
    )
    bought = conversion("bought", 70, ["device:0", "user:0"], kind="event")
    scenario = Scenario(touches=[mine, anothers], links=[], conversions=[install, back, bought])
    world = World(rules=RULES, random=Random(seed))
    world.run(scenario)
    expected = reference(scenario, RULES)
    sure = expected["install"].confidence
    alone = reference(Scenario([mine], [], [install]), RULES)["install"].confidence
    assert 0.5 < sure < alone < 1
    newest = {key: max(all_, key=lambda a: a.revision) for key, all_ in world.published.items()}
    assert {key: (one.method, one.confidence) for key, one in newest.items()} == {
        "install": ("click_probabilistic", sure),
        "back": ("reinstall", sure),
        "bought": ("inherited", sure),
    }


def test_the_state_names_the_rules_of_the_first_decision() -> None:
    rules = Rules(version="rules-1", answer_deadline_ms=1000)
    asked = conversion("c", 50, ["device:a", "user:b"])
    first = Answer(conversion=asked, identifier="device:a", depth=0)
    state, _ = gathering.gather(None, first, offset=0, at_ms=100, rules=rules)
    assert state.rules_version is None
    state, out = gathering.expire(state, at_ms=1100, rules=rules)
    assert out.attribution is not None
    assert state.rules_version == out.attribution.rules_version == "rules-1"
