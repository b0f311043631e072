from __future__ import annotations

from typing import Any

import pytest

from tests.core.models.touching import AT_MS, DAY_MS, path
from trackstream.core.models import BUILT_IN, ModelError, PathTouch, credit


def credits_of(name: str, *channels: str, **parameters: Any) -> list[int]:
    return credit(path(*channels), at_ms=AT_MS, weigh=BUILT_IN[name], parameters=parameters)


@pytest.mark.parametrize(
    ("name", "touches", "expected"),
    [
        ("first", "abc", [1_000_000, 0, 0]),
        ("last", "abc", [0, 0, 1_000_000]),
        ("linear", "abc", [333_334, 333_333, 333_333]),
        ("position", "ab", [500_000, 500_000]),
        ("position", "abc", [400_000, 200_000, 400_000]),
        ("position", "abcd", [400_000, 100_000, 100_000, 400_000]),
        ("position", "abcde", [400_000, 66_667, 66_667, 66_666, 400_000]),
    ],
)
def test_by_position(name: str, touches: str, expected: list[int]) -> None:
    assert credits_of(name, *touches) == expected


def test_position_with_other_shares() -> None:
    assert credits_of("position", "a", "b", "c", first=0.3, last=0.6) == [300_000, 100_000, 600_000]
    assert credits_of("position", "a", "b", first=0.2, last=0.6) == [250_000, 750_000]
    assert credits_of("position", "a", "b", "c", first=0, last=0) == [0, 1_000_000, 0]
    assert credits_of("position", "a", "b", first=0, last=0) == [500_000, 500_000]


def test_time_decay_halves_in_a_half_life() -> None:
    touches = [
        PathTouch("old", AT_MS - 14 * DAY_MS, "a"),
        PathTouch("mid", AT_MS - 7 * DAY_MS, "b"),
        PathTouch("new", AT_MS, "c"),
    ]
    assert credit(touches, at_ms=AT_MS, weigh=BUILT_IN["time_decay"]) == [142_857, 285_714, 571_429]
    day = credit(
        touches[1:], at_ms=AT_MS, weigh=BUILT_IN["time_decay"], parameters={"half_life_ms": DAY_MS}
    )
    assert day == [7_752, 992_248]  # 1 : 2**7


def test_time_decay_depends_on_differences_only_and_survives_any_age() -> None:
    old = path("a", "b")
    late = credit(old, at_ms=AT_MS + 10_000 * DAY_MS, weigh=BUILT_IN["time_decay"])
    assert late == credit(old, at_ms=AT_MS, weigh=BUILT_IN["time_decay"])


def test_a_touch_after_the_conversion_counts_as_at_it() -> None:
    touches = [PathTouch("a", AT_MS, "a"), PathTouch("b", AT_MS + DAY_MS, "b")]
    assert credit(touches, at_ms=AT_MS, weigh=BUILT_IN["time_decay"]) == [500_000, 500_000]


def test_priority_is_weight_times_recency() -> None:
    touches = [PathTouch("a", AT_MS - 7 * DAY_MS, "email"), PathTouch("b", AT_MS, "social")]

    def priority(**parameters: Any) -> list[int]:
        return credit(touches, at_ms=AT_MS, weigh=BUILT_IN["priority"], parameters=parameters)

    assert priority() == credit(touches, at_ms=AT_MS, weigh=BUILT_IN["time_decay"])
    assert priority(weights={"email": 6}) == [750_000, 250_000]  # 6 * 0.5 : 1
    assert priority(weights={"email": 2}, winner_takes_all=True) == [0, 1_000_000]  # equal: newest
    assert priority(weights={"email": 2.1}, winner_takes_all=True) == [1_000_000, 0]
    assert priority(weights={"email": 0, "social": 0}) == [500_000, 500_000]


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("linear", {"half_life_ms": 1}, "no such parameter: half_life_ms; it has none"),
        ("time_decay", {"halflife": 1}, "no such parameter: halflife; it has half_life_ms"),
        ("time_decay", {"half_life_ms": 0}, "more than 0"),
        ("time_decay", {"half_life_ms": "7d"}, "half_life_ms is a number"),
        ("position", {"first": 0.7}, "at most 1"),
        ("position", {"first": -0.1}, "first is a number, 0 or more"),
        ("priority", {"weights": [1]}, "weights is an object"),
        ("priority", {"weights": {"email": True}}, "email is a number"),
    ],
)
def test_wrong_parameters_are_refused(name: str, parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        credit(path("a", "b"), at_ms=AT_MS, weigh=BUILT_IN[name], parameters=parameters)
