"""Attribution beside what is true, a few hundred journeys; and that the table would tell."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.cli.upped import trackstream
from trackstream.cli.ground_truth import protocol
from trackstream.cli.ground_truth.journeys import EDGES, FRAUDS, KINDS, written
from trackstream.cli.ground_truth.run import measured
from trackstream.cli.simulation.people import Agents
from trackstream.core.matching import owner
from trackstream.core.rules import DEFAULT, FRAUD_RULES, Rules
from trackstream.storage.user_agents import UaParser

if TYPE_CHECKING:
    from pathlib import Path

    from trackstream.cli.ground_truth.score import Scored

JOURNEYS, SEED = 800, 11
SEEN = [rule for rule in FRAUD_RULES if DEFAULT.fraud.actions[rule] == "reject"]
"""The other ones only hint."""


@pytest.fixture(scope="module")
def scored() -> Scored:
    return measured(JOURNEYS, SEED)


def row(scored: Scored, measured: str, case: str) -> dict[str, Any]:
    (found,) = [one for one in scored.rows if (one["measured"], one["case"]) == (measured, case)]
    return found


def test_what_a_device_a_person_or_a_click_tells_is_decided_rightly(scored: Scored) -> None:
    assert scored.broken == []
    every = row(scored, "deterministic", "all")
    assert every["right"] == every["true"] > JOURNEYS
    assert every["wrong"] == every["missed"] == 0


def test_nothing_legitimate_is_rejected(scored: Scored) -> None:
    for kind in (*EDGES, "others", "all"):
        found = row(scored, "legitimate", kind)
        assert found["right"] == found["true"] > 0
        assert found["wrong"] == 0


def test_fraud_is_seen_and_nothing_else(scored: Scored) -> None:
    for rule in SEEN:
        found = row(scored, "fraud", rule)
        assert found["precision"] == 1.0, found
        # the first install with a farm's own click is like any other
        assert found["recall"] > (0.95 if rule == "click_used_before" else 0.999), found


def test_a_network_of_ones_own_tells_who_it_was(scored: Scored) -> None:
    for kind in ("same_network", "seen_on_same_network"):
        found = row(scored, "probabilistic", kind)
        assert (found["precision"], found["recall"]) == (1.0, 1.0)
    assert row(scored, "probabilistic", "network_changed")["recall"] == 0.0
    every = row(scored, "probabilistic", "all")
    assert 0.7 < every["recall"] < every["precision"] <= 1.0


@pytest.mark.parametrize("rule", SEEN)
def test_without_a_rule_its_fraud_is_not_seen(rule: str, scored: Scored) -> None:
    without = without_rule(rule)
    blind = measured(JOURNEYS, SEED, rules=without)
    found = row(blind, "fraud", rule)
    assert (found["recall"], found["found"]) == (0.0, 0)
    # what has no truth that is certain breaks nothing: who spams is found by statistics
    assert bool(blind.broken) is (rule != "flooding_source")
    for other in SEEN:
        if other != rule:
            assert row(blind, "fraud", other)["recall"] == row(scored, "fraud", other)["recall"]


def without_rule(rule: str) -> Rules:
    actions = {**DEFAULT.fraud.actions, rule: "off"}
    fraud = msgspec.structs.replace(DEFAULT.fraud, actions=actions)
    return msgspec.structs.replace(DEFAULT, fraud=fraud)


def test_a_rule_that_is_too_strict_breaks_what_is_legitimate() -> None:
    fraud = msgspec.structs.replace(DEFAULT.fraud, max_touches_per_hour=30)
    strict = measured(200, SEED, rules=msgspec.structs.replace(DEFAULT, fraud=fraud))
    assert row(strict, "legitimate", "eager")["wrong"] > 0
    assert strict.broken


@pytest.mark.parametrize("left_out", ["touches", "links", "priors"])
def test_news_that_is_not_forwarded_is_noticed(
    left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = owner.own

    def deaf(*args: object, **kwargs: object) -> object:
        state, answers = real(*args, **kwargs)  # type: ignore[arg-type] # passed through
        return state, [a for a in answers if a.depth is not None or not getattr(a, left_out)]

    monkeypatch.setattr(protocol, "own", deaf)
    assert measured(JOURNEYS, SEED).broken


def test_another_order_ends_in_the_same_decisions() -> None:
    parser = UaParser()
    book = written(200, SEED, agents=Agents(), parser=parser, rules=DEFAULT)
    worlds = [protocol.Protocol(DEFAULT, Random(order), parser) for order in (1, 2)]
    for world in worlds:
        world.run(book.sent)
        assert world.again > 0
    first, second = (
        {
            key: (one.method, one.touch and one.touch.touch_id, one.inherited_from)
            for key, one in world.attributions.items()
        }
        for world in worlds
    )
    assert first == second
    assert first.keys() == book.converted.keys()


def test_a_small_run_has_every_kind_and_the_same_seed_the_same_lives() -> None:
    agents, parser = Agents(), UaParser()
    books = [written(len(KINDS), 1, agents=agents, parser=parser, rules=DEFAULT) for _ in "ab"]
    assert {one.journey for one in books[0].converted.values()} == set(KINDS)
    assert books[0] == books[1]
    assert books[0] != written(len(KINDS), 2, agents=agents, parser=parser, rules=DEFAULT)
    assert set(books[0].frauds.values()) == set(SEEN)
    assert len(FRAUDS) > len(SEEN)


def test_the_command_prints_the_table_and_takes_no_options_of_the_other(tmp_path: Path) -> None:
    said = trackstream(
        tmp_path, "simulate", "--ground-truth", "--journeys", "100", "--seed", "2", "--json"
    )
    assert said.returncode == 0, said.stderr
    assert "100 journeys" in said.stderr
    rows = json.loads(said.stdout)
    assert {one["measured"] for one in rows} == {
        "deterministic",
        "legitimate",
        "probabilistic",
        "fraud",
    }
    for arguments, word in (
        (("--ground-truth", "--users", "9"), "does not go with"),
        (("--journeys", "9"), "needs"),
    ):
        refused = trackstream(tmp_path, "simulate", *arguments)
        assert refused.returncode == 2
        assert word in refused.stderr
