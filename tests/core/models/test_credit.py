from __future__ import annotations

import random
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.models.touching import AT_MS, path, paths
from trackstream.core.models import BUILT_IN, WHOLE, ModelError, apportion, credit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackstream.core.models import PathTouch

WEIGHTS = st.lists(
    st.one_of(st.integers(0, 10**9), st.floats(0, 1e9), st.fractions(0, 10**6)),
    min_size=1,
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(WEIGHTS, st.integers(-(10**12), 10**12))
def test_parts_sum_exactly_and_have_the_totals_sign(weights: list[float], total: int) -> None:
    parts = apportion(weights, total)
    assert sum(parts) == total
    assert len(parts) == len(weights)
    assert all(part * total >= 0 for part in parts)


@settings(max_examples=60, deadline=None)
@given(WEIGHTS, st.integers(0, 10**9))
def test_every_part_is_its_quota_rounded_down_or_up(weights: list[float], total: int) -> None:
    whole = sum(map(Fraction, weights)) or Fraction(0)
    for part, weight in zip(apportion(weights, total), weights, strict=True):
        if whole:
            quota = Fraction(weight) * total / whole
            assert abs(part - quota) < 1


@settings(max_examples=60, deadline=None)
@given(WEIGHTS, st.fractions(Fraction(1, 10**9), 10**9), st.integers(0, 10**9))
def test_the_scale_of_weights_does_not_matter(
    weights: list[float], scale: Fraction, total: int
) -> None:
    assert apportion([Fraction(one) * scale for one in weights], total) == apportion(weights, total)


@pytest.mark.parametrize(
    ("weights", "total", "parts"),
    [
        ([1, 1, 1], 100, [34, 33, 33]),
        ([1, 1, 1], -100, [-34, -33, -33]),
        ([0, 0], 5, [3, 2]),
        ([0, 1], 5, [0, 5]),
        ([5e-324, 5e-324], 3, [2, 1]),
        ([1, 10**30], 7, [0, 7]),
        ([], 7, []),
        # Remainders .5 .25 .25 of quotas 1.5 1.25 1.25: one is left, and the largest has it.
        ([6, 5, 5], 4, [2, 1, 1]),
    ],
)
def test_apportionment_by_example(weights: list[float], total: int, parts: list[int]) -> None:
    assert apportion(weights, total) == parts


@pytest.mark.parametrize("name", sorted(BUILT_IN))
@settings(max_examples=40, deadline=None)
@given(made=paths(), seed=st.integers(0, 100))
def test_credits_are_whole_whatever_the_order(name: str, made: list[PathTouch], seed: int) -> None:
    credits_ = credit(made, at_ms=AT_MS, weigh=BUILT_IN[name])
    assert sum(credits_) == WHOLE
    assert min(credits_) >= 0
    mixed = random.Random(seed).sample(range(len(made)), len(made))
    again = credit([made[i] for i in mixed], at_ms=AT_MS, weigh=BUILT_IN[name])
    assert again == [credits_[i] for i in mixed]


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_single_touch_has_it_all_and_no_touch_has_nothing(name: str) -> None:
    assert credit(path("a"), at_ms=AT_MS, weigh=BUILT_IN[name]) == [WHOLE]
    assert credit([], at_ms=AT_MS, weigh=BUILT_IN[name]) == []


def _own(result: Any) -> Any:
    def weigh(path: Sequence[PathTouch], /, *, at_ms: int, parameters: Any) -> Any:
        assert at_ms == AT_MS
        assert parameters == {"p": 1}
        if isinstance(result, Exception):
            raise result
        return result

    return weigh


def test_an_own_model_gets_the_path_oldest_first() -> None:
    seen: list[PathTouch] = []

    def weigh(path: Sequence[PathTouch], /, *, at_ms: int, parameters: Any) -> list[int]:
        del at_ms, parameters
        seen.extend(path)
        return [1, 3]

    one, two = path("a", "b")
    assert credit([two, one], at_ms=AT_MS, weigh=weigh) == [750_000, 250_000]
    assert seen == [one, two]


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ([1.0], "1 weights for 2 touches"),
        ([1.0, -0.5], "-0.5 is not a weight"),
        ([1.0, float("nan")], "nan is not a weight"),
        ([1.0, float("inf")], "inf is not a weight"),
        (["1", "2"], "'1' is not a weight"),
        (None, "raised TypeError"),
        (ZeroDivisionError("by zero"), "raised ZeroDivisionError: by zero"),
    ],
)
def test_a_bad_own_model_is_a_model_error(result: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        credit(path("a", "b"), at_ms=AT_MS, weigh=_own(result), parameters={"p": 1})
