"""Every enabled model's credits: exact in sum, none for the organic, all to a touch taken over."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.matching.world import conversion, touch
from trackstream.core.credits import MODELS, credits_of, parameters_of
from trackstream.core.matching.candidates import Found, FoundPrior
from trackstream.core.matching.decide import decide
from trackstream.core.records import Prior
from trackstream.core.rules import DAY_MS, DEFAULT, Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackstream.core.records import Credit, Touch

AT_MS = 10 * DAY_MS
INSTALL = conversion("c", AT_MS, ["device:a"])


def _found(touches: Sequence[Touch]) -> dict[str, Found]:
    return {one.touch_id: Found(one, ["device:a"]) for one in touches}


def _of(credited: list[Credit], model: str) -> dict[str, int]:
    return {one.touch_id: one.share_millionths for one in credited if one.model == model}


@given(
    ages=st.lists(st.integers(0, 8 * DAY_MS), min_size=1, max_size=12, unique=True),
    revenue=st.none() | st.integers(-(10**9), 10**12),
    currency=st.sampled_from([None, "EUR", "JPY", "KWD"]),
    impressions=st.sets(st.integers(0, 11)),
)
def test_shares_and_money_of_each_model_sum_exactly(
    ages: list[int], revenue: int | None, currency: str | None, impressions: set[int]
) -> None:
    asked = msgspec.structs.replace(INSTALL, revenue_micros=revenue, currency=currency)
    touches = [
        touch(
            f"t{n}",
            AT_MS - age,
            ["device:a"],
            kind="impression" if n in impressions else "click",
        )
        for n, age in enumerate(ages)
    ]
    decision = decide(asked, _found(touches), {}, rules=DEFAULT)
    credited, failed = credits_of(asked, decision, rules=DEFAULT, models=MODELS)
    assert not failed
    if decision.touch is None:
        assert not credited
        return
    shares, amounts = Counter[str](), Counter[str]()
    for one in credited:
        assert one.share_millionths > 0
        shares[one.model] += one.share_millionths
        amounts[one.model] += one.revenue_micros or 0
    assert shares == dict.fromkeys(DEFAULT.models, 1_000_000)
    assert all(amounts[model] == (revenue or 0) for model in DEFAULT.models)
    assert _of(credited, "last") == {decision.touch.touch_id: 1_000_000}
    eligible = {
        one.touch.touch_id
        for one in decision.candidates
        if one.verdict in {"chosen", "older", "lower_class"}
    }
    assert set(_of(credited, "linear")) == eligible


def test_last_is_the_decision_where_a_weaker_match_is_newer() -> None:
    click = touch("click", AT_MS - DAY_MS, ["device:a"])
    view = touch("view", AT_MS - 60_000, ["device:a"], kind="impression")
    decision = decide(INSTALL, _found([click, view]), {}, rules=DEFAULT)
    credited, _ = credits_of(INSTALL, decision, rules=DEFAULT, models=MODELS)
    assert _of(credited, "last") == {"click": 1_000_000}
    assert _of(credited, "linear") == {"click": 500_000, "view": 500_000}


@pytest.mark.parametrize(("kind", "method"), [("event", "inherited"), ("install", "reinstall")])
def test_what_takes_over_an_attribution_gives_all_to_its_touch(kind: str, method: str) -> None:
    asked = msgspec.structs.replace(INSTALL, kind=kind, event="purchase")
    brought = touch("brought", AT_MS - 5 * DAY_MS, ["device:a"])
    since = touch("since", AT_MS - DAY_MS, ["device:a"])
    first = Prior(
        conversion_id="i", kind="install", at_ms=AT_MS - 4 * DAY_MS, revision=1, touch=brought
    )
    decision = decide(
        asked, _found([brought, since]), {"i": FoundPrior(first, ["device:a"])}, rules=DEFAULT
    )
    assert decision.method == method
    credited, _ = credits_of(asked, decision, rules=DEFAULT, models=MODELS)
    assert [one.model for one in credited] == list(DEFAULT.models)
    assert {one.touch_id for one in credited} == {"brought"}


def test_a_model_that_fails_is_named_and_keeps_no_other_from_giving() -> None:
    def broken(*_: object, **__: object) -> list[float]:
        raise ZeroDivisionError("oh")

    rules = Rules(models=("linear", "mine", "gone"), model="linear")
    touches = [touch(f"t{n}", AT_MS - n * DAY_MS, ["device:a"]) for n in (1, 2)]
    decision = decide(INSTALL, _found(touches), {}, rules=rules)
    credited, failed = credits_of(INSTALL, decision, rules=rules, models={**MODELS, "mine": broken})
    assert {one.model for one in credited} == {"linear"}
    assert failed == {
        "mine": "it raised ZeroDivisionError: oh",
        "gone": "there is no model of this name here",
    }


def test_parameters_are_those_of_the_rules() -> None:
    rules = Rules(
        half_life_ms=5,
        channel_weights={"search": 2.0},
        model_parameters={"priority": {"winner_takes_all": True}},
    )
    assert parameters_of(rules, "time_decay") == {"half_life_ms": 5}
    assert parameters_of(rules, "priority") == {
        "half_life_ms": 5,
        "weights": {"search": 2.0},
        "winner_takes_all": True,
    }
    assert parameters_of(rules, "position") == {}
