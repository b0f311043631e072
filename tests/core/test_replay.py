"""Decisions made again from what was published: as they were, or as other rules would have it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.matching.replaying import NOW_MS, RULES, other_rules, published, replayed, scenarios
from tests.core.matching.world import Scenario, conversion, touch
from trackstream.core.credits import MODELS, credits_of
from trackstream.core.matching.candidates import Found
from trackstream.core.matching.decide import decide
from trackstream.core.privacy import IpPrivacy, private_attribution
from trackstream.core.records import Attribution, Candidate, Earlier
from trackstream.core.replay import Brought, Difference, again
from trackstream.core.rules import DEFAULT, Rules

WHAT = ("method", "touch", "inherited_from")
DECIDED = (*WHAT, "confidence", "identifier", "window_ms", "reattribution", "candidates")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios, seed=st.integers(0, 2**32))
def test_under_the_same_rules_nothing_differs(scenario: Scenario, seed: int) -> None:
    stored = published(scenario, seed)
    assert len(stored) == len(scenario.conversions)
    for one in replayed(stored, RULES):
        assert one.revised is None
        assert one.decision.candidates == one.stored.candidates
        assert one.decision.confidence == one.stored.confidence


@pytest.mark.parametrize("privacy", ["full", "truncated", "dropped"])
def test_a_match_by_a_fingerprint_is_replayed_without_the_address_that_it_was_made_of(
    privacy: IpPrivacy,
) -> None:
    clicked = touch("t", NOW_MS - 3_600_000, ["click:t", "fp:x"])
    asked = conversion("c", NOW_MS, ["device:d", "fp:x"])
    scenario = Scenario(touches=[clicked], links=[], conversions=[asked])
    (stored,) = published(scenario, 1)
    assert stored.method == "click_probabilistic"
    (one,) = replayed([private_attribution(stored, privacy)], RULES)
    assert one.revised is None
    assert (one.decision.method, one.decision.confidence) == (stored.method, stored.confidence)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios, seed=st.integers(0, 2**32), rules=other_rules)
def test_under_other_rules_it_is_as_if_they_had_been_from_the_start(
    scenario: Scenario, seed: int, rules: Rules
) -> None:
    want = {one.conversion_id: one for one in published(scenario, seed + 1, rules)}
    for one in replayed(published(scenario, seed), rules):
        expected = want[one.stored.conversion_id]
        assert {name: getattr(one.decision, name) for name in DECIDED} == {
            name: getattr(expected, name) for name in DECIDED
        }
        decided = any(getattr(one.stored, name) != getattr(expected, name) for name in WHAT)
        assert (one.revised is None) == (not decided and one.stored.credits == expected.credits)
        if one.revised:
            assert one.only_credits == (not decided)
            assert one.revised.credits == expected.credits
            assert one.revised.inherited_at_ms == expected.inherited_at_ms


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios, seed=st.integers(0, 2**32), rules=other_rules)
def test_what_was_revised_can_be_replayed_again(
    scenario: Scenario, seed: int, rules: Rules
) -> None:
    rules = msgspec.structs.replace(rules, version="other")
    stored = published(scenario, seed)
    first = replayed(stored, rules)
    after = [one.revised or one.stored for one in first]
    assert all(one.revised is None for one in replayed(after, rules))
    for one in first:
        if one.revised:
            assert one.revised.revision == one.stored.revision + 1
            assert one.revised.rules_version == "other"
            assert one.revised.previous_method == one.stored.method
            assert one.revised.decided_at_ms == NOW_MS
            assert one.revised.identifiers == one.stored.identifiers
            credited = {credit.model for credit in one.revised.credits}
            assert credited == (set(rules.models) if one.revised.touch else set())
    back = [one.decision.method for one in replayed(after, RULES)]
    assert back == [one.stored.method for one in first]


CLICK = touch("t", 40, ["device:0"])
INSTALL = conversion("c1", 90, ["device:0"])


def stored(**other: object) -> Attribution:
    """An install attributed to `CLICK`."""
    decision = decide(INSTALL, {"t": Found(CLICK, ["device:0"])}, {}, rules=RULES)
    shared, _ = credits_of(INSTALL, decision, rules=RULES, models=MODELS)
    values: dict[str, object] = {
        **{name: getattr(INSTALL, name) for name in ("conversion_id", "app_id", "kind", "event")},
        **{name: getattr(INSTALL, name) for name in ("event_id", "at_ms", "subject", "person")},
        "revision": 3,
        "decided_at_ms": 95,
        "method": decision.method,
        "confidence": decision.confidence,
        "touch": decision.touch,
        "candidates": decision.candidates,
        "credits": shared[::-1],
        "rules_version": "old",
        "conversion": INSTALL,
        **other,
    }
    return msgspec.convert(values, Attribution)


def test_a_decision_without_its_conversion_cannot_be_made_again() -> None:
    assert again(stored(conversion=None), {}, at_ms=NOW_MS, rules=RULES) is None


def test_candidates_without_all_their_identifiers_have_the_one() -> None:
    short = Candidate(
        touch=CLICK,
        identifier="device:0",
        match_type="click_deterministic",
        confidence=1.0,
        verdict="chosen",
    )
    found = again(stored(candidates=[short]), {}, at_ms=NOW_MS, rules=RULES)
    assert found is not None
    assert found.revised is None


@pytest.mark.parametrize(
    ("brought", "touch_id", "sure"),
    [
        ({}, "t", 0.73),
        ({"c0": Brought(None)}, None, 1.0),
        ({"c0": Brought(touch("u", 1, []), 0.6)}, "u", 0.6),
    ],
)
def test_what_is_inherited_is_what_the_first_one_has_now_or_had(
    brought: dict[str, Brought], touch_id: str | None, sure: float
) -> None:
    first = Earlier(conversion_id="c0", kind="install", at_ms=1, identifiers=["device:0"])
    again_installed = stored(
        method="reinstall", inherited_from="c0", confidence=0.73, earlier=[first]
    )
    found = again(again_installed, brought, at_ms=NOW_MS, rules=DEFAULT)
    assert found is not None
    assert (found.decision.method, found.decision.inherited_from) == ("reinstall", "c0")
    assert (found.decision.touch and found.decision.touch.touch_id) == touch_id
    assert found.decision.confidence == sure
    assert (found.revised is None) == (touch_id == "t")


def test_the_difference_counts_campaigns_and_methods() -> None:
    summer = msgspec.structs.replace(CLICK, campaign_id="summer")
    decision = decide(INSTALL, {"t": Found(summer, ["device:0"])}, {}, rules=RULES)
    shared, _ = credits_of(INSTALL, decision, rules=RULES, models=MODELS)
    one = stored(touch=summer, candidates=decision.candidates, credits=shared)
    strict = msgspec.structs.replace(RULES, click_window_ms=49)
    difference = Difference(examples=2)
    for n in range(3):
        named = msgspec.structs.replace(one, conversion_id=f"c{n}")
        difference.add(again(named, {}, at_ms=NOW_MS, rules=strict))
    difference.add(again(one, {}, at_ms=NOW_MS, rules=RULES))
    fewer = msgspec.structs.replace(RULES, models=("last", "first"))
    difference.add(again(one, {}, at_ms=NOW_MS, rules=fewer))
    difference.add(None)
    assert (difference.replayed, difference.changed, difference.untold) == (5, 4, 1)
    assert difference.only_credits == 1
    assert difference.before == {"summer": 5}
    assert difference.after == {"summer": 2, None: 3}
    assert difference.methods == {("click_deterministic", "organic"): 3}
    assert difference.examples == ["c0", "c1"]
