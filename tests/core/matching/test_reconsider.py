"""Replayed decisions are made again by the conversion's owner, who goes on from there."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.matching.replaying import (
    IDENTIFIERS,
    RULES,
    newest,
    other_rules,
    replayed,
    scenarios,
    times,
)
from tests.core.matching.world import Scenario, World, conversion, touch
from trackstream.core.matching.gather import gather
from trackstream.core.matching.reconsider import reconsider
from trackstream.core.records import Answer
from trackstream.core.replay import Brought, again

if TYPE_CHECKING:
    from trackstream.core.records import Attribution, Touch
    from trackstream.core.rules import Rules

NOTHING = Scenario(touches=[], links=[], conversions=[])
later = st.lists(
    st.tuples(times, st.lists(st.sampled_from(IDENTIFIERS), min_size=1, max_size=3, unique=True)),
    max_size=4,
).map(
    lambda all_: Scenario(
        touches=[touch(f"late{n}", at, ids) for n, (at, ids) in enumerate(all_)],
        links=[],
        conversions=[],
    )
)


def asked_again(world: World, rules: Rules, more: Scenario) -> set[str]:
    """Write what differs under other rules, while more comes; the ids of those conversions."""
    rules = msgspec.structs.replace(rules, version="other")
    world.versions["other"] = rules
    revised = [one.revised for one in replayed(newest(world), rules) if one.revised]
    world.run(more, *revised)
    return {one.conversion_id for one in revised}


def stands(world: World, asked: set[str], rules: Rules) -> None:
    """Each decision is what its rules make of all that is known in the end, and has its number."""
    ends = newest(world)
    brought = {one.conversion_id: Brought(one.touch, one.confidence) for one in ends}
    for one in ends:
        made = again(
            one, brought, at_ms=0, rules=rules if one.conversion_id in asked else world.rules
        )
        assert made is not None
        assert made.revised is None
        assert made.decision.confidence == one.confidence
    for all_ in world.published.values():
        named: dict[int, Attribution] = {}
        for one in all_:
            assert named.setdefault(one.revision, one) == one
        assert sorted(named) == list(range(1, len(named) + 1))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios, seed=st.integers(0, 2**32), rules=other_rules)
def test_what_a_replay_has_found_comes_true_at_the_owner(
    scenario: Scenario, seed: int, rules: Rules
) -> None:
    world = World(rules=RULES, random=Random(seed))
    world.run(scenario)
    asked = asked_again(world, rules, NOTHING)
    stands(world, asked, msgspec.structs.replace(rules, version="other"))
    for one in newest(world):
        assert one.rules_version == ("other" if one.conversion_id in asked else RULES.version)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios, more=later, seed=st.integers(0, 2**32), rules=other_rules)
def test_what_comes_meanwhile_is_part_of_it(
    scenario: Scenario, more: Scenario, seed: int, rules: Rules
) -> None:
    world = World(rules=RULES, random=Random(seed))
    world.run(scenario)
    asked = asked_again(world, rules, more)
    stands(world, asked, msgspec.structs.replace(rules, version="other"))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios, more=later, seed=st.integers(0, 2**32), rules=other_rules)
def test_what_comes_after_is_decided_by_the_rules_that_were_asked_for(
    scenario: Scenario, more: Scenario, seed: int, rules: Rules
) -> None:
    world = World(rules=RULES, random=Random(seed))
    world.run(scenario)
    asked = asked_again(world, rules, NOTHING)
    world.run(more)
    stands(world, asked, msgspec.structs.replace(rules, version="other"))


def test_what_waits_for_an_answer_is_decided_by_them_when_it_has_come() -> None:
    asked = conversion("c", 60, ["device:1"])
    short = msgspec.structs.replace(RULES, click_window_ms=1, version="other")
    clicked = touch("t", 30, ["user:1"])

    def answer(identifier: str, depth: int | None, *links: str, touches: list[Touch]) -> Answer:
        return Answer(
            conversion=asked, identifier=identifier, depth=depth, touches=touches, links=[*links]
        )

    state, out = gather(None, answer("device:1", 0, touches=[]), offset=1, at_ms=0, rules=RULES)
    first = out.attribution
    assert first is not None
    state, out = gather(
        state, answer("device:1", None, "user:1", touches=[]), offset=2, at_ms=0, rules=RULES
    )
    assert (out.attribution, state.deadline_ms is None) == (None, False)
    revised = msgspec.structs.replace(first, revision=2, rules_version="other")
    state, out = reconsider(state, revised, offset=3, at_ms=0, rules=short)
    assert out.attribution is None
    assert state.rules_version == "other"
    state, out = gather(
        state, answer("user:1", 1, touches=[clicked]), offset=4, at_ms=0, rules=short
    )
    assert out.attribution is not None
    assert (out.attribution.method, out.attribution.rules_version) == ("organic", "other")
    assert [one.verdict for one in out.attribution.candidates] == ["outside_window"]


def test_asked_twice_it_is_decided_once() -> None:
    world = World(rules=RULES, random=Random(1))
    install = conversion("c", 60, ["device:1"])
    world.run(Scenario(touches=[touch("t", 30, ["device:1"])], links=[], conversions=[install]))
    short = msgspec.structs.replace(RULES, click_window_ms=1, version="other")
    world.versions["other"] = short
    [one] = replayed(newest(world), short)
    assert one.revised is not None
    world.run(NOTHING, one.revised, one.revised)
    assert {a.revision for a in world.published["c"]} == {1, 2}


def test_no_revision_has_the_number_of_one_that_is_published() -> None:
    world = World(rules=RULES, random=Random(1))
    install = conversion("c", 60, ["device:1"])
    world.run(Scenario(touches=[touch("t", 30, ["device:1"])], links=[], conversions=[install]))
    short = msgspec.structs.replace(RULES, click_window_ms=1, version="other")
    world.versions["other"] = short
    [one] = replayed(newest(world), short)
    assert one.revised is not None
    world.run(NOTHING, msgspec.structs.replace(one.revised, revision=7))
    assert [(a.revision, a.method) for a in world.published["c"]][-1] == (7, "organic")


def test_what_may_have_been_lost_is_published_again_as_it_was() -> None:
    world = World(rules=RULES, random=Random(1))
    install = conversion("c", 60, ["device:1"])
    world.run(Scenario(touches=[touch("t", 30, ["device:1"])], links=[], conversions=[install]))
    wide = msgspec.structs.replace(RULES, click_window_ms=51, version="other")
    revised = msgspec.structs.replace(newest(world)[0], revision=2, rules_version="other")
    state = world.conversions["c"]
    at = state.applied + 1

    state, out = reconsider(state, revised, offset=at, at_ms=5, rules=wide)
    again_state, again_out = reconsider(state, revised, offset=at, at_ms=9, rules=wide)

    assert out.attribution is not None
    assert (out.attribution.revision, out.attribution.rules_version) == (2, "other")
    assert (again_state, again_out) == (state, out)


def test_a_number_that_others_have_passed_is_passed_by_the_owner_too() -> None:
    world = World(rules=RULES, random=Random(1))
    install = conversion("c", 60, ["device:1"])
    world.run(Scenario(touches=[touch("t", 30, ["device:1"])], links=[], conversions=[install]))
    state = world.conversions["c"]
    revised = msgspec.structs.replace(newest(world)[0], revision=6)
    _, out = reconsider(state, revised, offset=state.applied + 1, at_ms=5, rules=RULES)
    assert out.attribution is not None
    assert (out.attribution.revision, out.attribution.method) == (6, "click_deterministic")


def test_before_the_first_decision_it_is_said_by_which_rules_that_is_made() -> None:
    asked = conversion("c", 60, ["device:1", "device:2"])
    first = Answer(conversion=asked, identifier="device:1", depth=0)
    second = Answer(
        conversion=asked, identifier="device:2", depth=0, touches=[touch("t", 30, ["device:2"])]
    )
    whole, out = gather(None, first, offset=1, at_ms=0, rules=RULES)
    whole, out = gather(whole, second, offset=2, at_ms=0, rules=RULES)
    assert out.attribution is not None
    short = msgspec.structs.replace(RULES, click_window_ms=1, version="other")
    revised = msgspec.structs.replace(out.attribution, rules_version="other")

    state, _ = gather(None, first, offset=3, at_ms=0, rules=RULES)
    state, out = reconsider(state, revised, offset=4, at_ms=0, rules=short)
    assert (out.attribution, state.rules_version, state.applied) == (None, "other", 4)
