from __future__ import annotations

from fractions import Fraction
from math import isclose

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.analysis.brute_force import MILLION, counts, removal_effects
from trackstream.analysis.absorption import outcomes
from trackstream.analysis.chain import chain
from trackstream.analysis.markov import markov
from trackstream.analysis.paths import Paths
from trackstream.analysis.results import NothingToLearnError
from trackstream.core.models import PathCount

BY_HAND = [
    PathCount(("C1", "C2", "C3"), 1, 10 * MILLION, 0),
    PathCount(("C1",), 0, 0, 1),
    PathCount(("C2", "C3"), 0, 0, 1),
]


def test_the_example_by_hand() -> None:
    """P = (2/3 * 1/2 + 1/3) * 1/2 = 1/3; without C1 1/3 * 1/2 = 1/6; without C2 or C3 0.

    So the removal effects are 1/2, 1, 1, and of their sum 5/2 the shares are 0.2, 0.4, 0.4.
    """
    found = {row.channel: row for row in markov(Paths(BY_HAND), order=1).rows}
    assert {c: pytest.approx(row.share, abs=1e-12) for c, row in found.items()} == {
        "C1": 0.2,
        "C2": 0.4,
        "C3": 0.4,
    }
    assert found["C1"].effect == pytest.approx(0.5, abs=1e-12)
    assert found["C2"].effect == found["C3"].effect == 1.0
    assert {c: row.conversions_millionths for c, row in found.items()} == {
        "C1": 200_000,
        "C2": 400_000,
        "C3": 400_000,
    }
    assert {c: row.value_micros for c, row in found.items()} == {
        "C1": 2 * MILLION,
        "C2": 4 * MILLION,
        "C3": 4 * MILLION,
    }


def test_order_3_tells_apart_how_c3_was_reached() -> None:
    """C1 > C2 > C3 always converts, C2 > C3 never does: without any of the three nothing does."""
    rows = markov(Paths(BY_HAND), order=3).rows
    assert [row.effect for row in rows] == [1.0, 1.0, 1.0]


@settings(max_examples=60, deadline=None)
@given(made=counts("abcd"), order=st.integers(1, 3))
@example(made=[PathCount(("a", "a", "b", "a"), 1, 0, 2)], order=2)
def test_effects_are_those_of_the_definition(made: list[PathCount], order: int) -> None:
    paths = Paths(made)
    expected = removal_effects(made, order)
    found = markov(paths, order=order)
    for row in found.rows:
        assert row.effect is not None
        assert isclose(row.effect, expected[row.channel][0], abs_tol=1e-9)
    whole = sum(effect for effect, _ in expected.values())
    value = sum(effect for _, effect in expected.values())
    for row in found.rows:
        share = expected[row.channel][0] / whole
        assert isclose(row.share, share, abs_tol=1e-9)
        if value:
            part = expected[row.channel][1] / value * found.totals.value_micros
            assert abs(row.value_micros - part) < 2
    assert sum(row.conversions_millionths for row in found.rows) == (
        found.totals.conversions * MILLION
    )
    assert sum(row.value_micros for row in found.rows) == found.totals.value_micros


@settings(max_examples=30, deadline=None)
@given(made=counts("abcde", max_paths=8), order=st.integers(1, 3))
def test_factors_and_series_agree(made: list[PathCount], order: int) -> None:
    built = chain(Paths(made), order=order)
    np.testing.assert_allclose(
        outcomes(built, factored=0), outcomes(built), rtol=1e-9, atol=1e-12 * MILLION
    )


def test_journeys_too_long_for_the_series_are_solved_all_the_same() -> None:
    rows = [PathCount(("a", "b") * 60_000, 1, 0, 0), PathCount(("b",), 0, 0, 1)]
    built = chain(Paths(rows), order=1)
    found = outcomes(built, factored=0)
    # Every b ends with probability 2/60001, half of them converted.
    assert found[0, 0] == pytest.approx(0.5, abs=1e-6)
    assert found[1:, 0].tolist() == pytest.approx([float(Fraction(1, 2) / 60_001), 0.0], abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(made=counts(), order=st.integers(1, 3), seed=st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_their_split_matters(
    made: list[PathCount], order: int, seed: object
) -> None:
    again = [
        one
        for row in made
        for one in (row._replace(nulls=0), PathCount(row.channels, 0, 0, row.nulls))
    ]
    seed.shuffle(again)  # type: ignore[attr-defined] # Hypothesis' stand-in for random.Random
    one, other = (markov(Paths(rows), order=order).rows for rows in (made, again))
    assert {row.channel: row.conversions_millionths for row in one} == pytest.approx(
        {row.channel: row.conversions_millionths for row in other}, abs=1
    )


def test_null_paths_change_the_credit() -> None:
    """With 30 nulls of b it converts a third: P = 1/3, without a 35/45 of that."""
    paths = [PathCount(("a", "b"), 10, 0, 0), PathCount(("b",), 5, 0, 0)]

    def share(rows: list[PathCount]) -> float:
        return {row.channel: row.share for row in markov(Paths(rows), order=1).rows}["a"]

    assert share(paths) == pytest.approx(0.4)  # effects 2/3 and 1
    assert share([*paths, PathCount(("b",), 0, 0, 30)]) == pytest.approx(2 / 11)  # 2/9 and 1


def test_without_conversions_there_is_nothing_to_learn() -> None:
    with pytest.raises(NothingToLearnError):
        markov(Paths([PathCount(("a",), 0, 0, 3)]), order=1)
    with pytest.raises(NothingToLearnError):
        markov(Paths([]), order=2)
