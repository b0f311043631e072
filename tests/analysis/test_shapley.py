from __future__ import annotations

from fractions import Fraction
from math import isclose

import pytest
from hypothesis import given, settings

from tests.analysis.brute_force import MILLION, Game, counts
from trackstream.analysis.paths import Paths
from trackstream.analysis.results import NothingToLearnError
from trackstream.analysis.shapley import shapley
from trackstream.core.models import ModelError, PathCount


def _effects(rows: list[PathCount], **options: int) -> dict[str, float]:
    return {row.channel: row.effect or 0.0 for row in shapley(Paths(rows), **options).rows}


def _many(channels: int) -> list[PathCount]:
    """Journeys of 13 and 14 distinct channels among shorter ones, converting unevenly."""
    names = [f"c{i:02}" for i in range(channels)]
    rows = [PathCount((name,), i % 4, 0, 5 + i) for i, name in enumerate(names)]
    rows += [PathCount(tuple(names[i : i + 3]), 2 + i % 3, 0, 4) for i in range(channels - 3)]
    rows += [PathCount(tuple(names[:13]), 9, 0, 3), PathCount(tuple(names[-14:]), 20, 0, 11)]
    return rows


def test_an_example_by_hand() -> None:
    """100 journeys touched a, 100 b, 100 both: 10, 1 and 20 of them converted.

    Of both: v(a) = 10, v(b) = 1, v(ab) = 20, so a adds (10 + 19) / 2 and b (1 + 10) / 2.
    """
    rows = [
        PathCount(("a",), 10, 100 * MILLION, 90),
        PathCount(("b",), 1, 20 * MILLION, 99),
        PathCount(("a", "b"), 15, 300 * MILLION, 45),
        PathCount(("b", "a", "b"), 5, 0, 35),
    ]
    found = {row.channel: row for row in shapley(Paths(rows)).rows}
    assert found["a"].effect == pytest.approx(10 + 14.5, abs=1e-9)
    assert found["b"].effect == pytest.approx(1 + 5.5, abs=1e-9)
    assert found["a"].standard_error is None
    assert found["a"].conversions_millionths == pytest.approx(24_500_000, abs=1)
    # Value: v(a) = 100, v(b) = 20, v(ab) = 300.
    assert found["a"].value_micros == pytest.approx((100 + 190) * MILLION, abs=2)


def test_what_did_not_convert_is_learnt_from() -> None:
    paths = [
        PathCount(("a",), 10, 0, 0),
        PathCount(("b",), 10, 0, 0),
        PathCount(("a", "b"), 8, 0, 2),
    ]
    assert _effects(paths)["a"] == pytest.approx(_effects(paths)["b"])
    more = _effects([*paths, PathCount(("b",), 0, 0, 90)])
    assert more["a"] > more["b"] + 5


def test_a_channel_that_goes_with_fewer_conversions_has_no_credit() -> None:
    rows = [PathCount(("a",), 50, 0, 50), PathCount(("a", "b"), 10, 0, 90)]
    found = {row.channel: row for row in shapley(Paths(rows)).rows}
    assert found["b"].effect == pytest.approx(-20.0)
    assert (found["b"].share, found["b"].conversions_millionths) == (0.0, 0)
    assert found["a"].conversions_millionths == 60 * MILLION


@settings(max_examples=60, deadline=None)
@given(made=counts("abcd", max_paths=9))
def test_values_are_those_of_all_orders(made: list[PathCount]) -> None:
    paths = Paths(made)
    game = Game(made)
    expected = game.shapley(paths.channels, 0)
    try:
        rows = shapley(paths).rows
    except NothingToLearnError:
        assert all(value <= 0 for value in expected.values())
        return
    for row in rows:
        assert row.effect is not None
        assert isclose(row.effect, expected[row.channel], abs_tol=1e-9)
    # Efficiency: together they are worth what all channels are, the conversions that there were.
    total = sum(row.conversions for row in made)
    assert game.worth(paths.channels, 0) == total
    assert isclose(sum(row.effect or 0.0 for row in rows), total, abs_tol=1e-9)
    values = {c: max(Fraction(0), one) for c, one in game.shapley(paths.channels, 1).items()}
    whole = sum(values.values())
    if whole:
        for row in rows:
            part = values[row.channel] / whole * sum(one.value_micros for one in made)
            assert isclose(row.value_micros, part, abs_tol=2)


def test_sampled_values_are_within_their_errors_of_the_exact_ones() -> None:
    rows = _many(15)
    exact = _effects(rows, exact_channels=15)
    found = shapley(Paths(rows), pairs=400, seed=7)
    assert found.parameters == {"pairs": 400, "seed": 7}
    errors = {row.channel: row.standard_error or 0.0 for row in found.rows}
    assert max(errors.values()) > 0
    for row in found.rows:
        assert abs((row.effect or 0.0) - exact[row.channel]) <= 5 * errors[row.channel] + 1e-9
    assert sum(row.effect or 0.0 for row in found.rows) == pytest.approx(
        sum(row.conversions for row in rows)
    )


def test_more_samples_have_smaller_errors_and_a_seed_repeats() -> None:
    paths = Paths(_many(15))
    few, again, other, many = (
        shapley(paths, pairs=pairs, seed=seed)
        for pairs, seed in ((50, 1), (50, 1), (50, 2), (800, 1))
    )
    assert few == again
    assert few.rows != other.rows
    mean = [
        sum(row.standard_error or 0.0 for row in one.rows) / len(one.rows) for one in (few, many)
    ]
    assert mean[1] < mean[0] / 2


def test_twelve_channels_are_exact_and_so_are_many_in_short_journeys() -> None:
    names = [f"c{i:02}" for i in range(40)]
    short = [PathCount(tuple(names[i : i + 4]), 1 + i % 5, 0, 7) for i in range(37)]
    assert all(row.standard_error is None for row in shapley(Paths(short)).rows)
    twelve = [PathCount(tuple(names[:12]), 12, 0, 5)]
    found = shapley(Paths(twelve))
    assert [row.effect for row in found.rows] == pytest.approx([1.0] * 12)
    assert all(row.standard_error is None for row in found.rows)


def test_the_largest_number_of_channels_and_one_more() -> None:
    rows = [PathCount((f"c{i:02}", "c00"), 1, 0, 1) for i in range(62)]
    assert sum(_effects(rows).values()) == pytest.approx(62)
    with pytest.raises(ModelError, match="63 channels are too many"):
        shapley(Paths([*rows, PathCount(("more",), 1, 0, 1)]))


def test_without_conversions_there_is_nothing_to_learn() -> None:
    with pytest.raises(NothingToLearnError):
        shapley(Paths([PathCount(("a",), 0, 0, 3)]))
    with pytest.raises(NothingToLearnError):
        shapley(Paths([]))
