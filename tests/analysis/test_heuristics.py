from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.brute_force import MILLION, counts
from tests.core.models.touching import AT_MS, DAY_MS, path
from trackstream.analysis.fitting import Wanted, fit
from trackstream.analysis.paths import Paths
from trackstream.analysis.results import NothingToLearnError
from trackstream.core.models import BUILT_IN, ConvertedPath, ModelError, PathCount, credit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackstream.analysis.results import Fitted
    from trackstream.core.models import PathTouch

ROWS = [
    PathCount(("a", "b", "c"), 2, 20 * MILLION, 5),
    PathCount(("c",), 1, 100 * MILLION, 1),
    PathCount(("b", "b"), 0, 0, 9),
]


def fitted(name: str, **parameters: Any) -> Fitted:
    return fit(Wanted(model=name, parameters=parameters), Paths(ROWS), own={})


@pytest.mark.parametrize(
    ("name", "conversions", "value"),
    [
        ("first", {"a": 2.0, "b": 0.0, "c": 1.0}, {"a": 20, "b": 0, "c": 100}),
        ("last", {"a": 0.0, "b": 0.0, "c": 3.0}, {"a": 0, "b": 0, "c": 120}),
        ("linear", {"a": 2 / 3, "b": 2 / 3, "c": 5 / 3}, {"a": 20 / 3, "b": 20 / 3, "c": 320 / 3}),
        ("position", {"a": 0.8, "b": 0.4, "c": 1.8}, {"a": 8, "b": 4, "c": 108}),
    ],
)
def test_by_position(name: str, conversions: dict[str, float], value: dict[str, float]) -> None:
    rows = fitted(name).rows
    assert {row.channel: row.conversions_millionths / MILLION for row in rows} == pytest.approx(
        conversions, abs=1e-6
    )
    assert {row.channel: row.value_micros / MILLION for row in rows} == pytest.approx(
        value, abs=1e-6
    )


def test_time_decay_takes_touches_as_a_day_apart() -> None:
    shares = {row.channel: row.share for row in fitted("time_decay", half_life_ms=DAY_MS).rows}
    assert shares == pytest.approx({"a": 2 / 7 / 3, "b": 4 / 7 / 3, "c": (8 / 7 + 1) / 3})


@settings(max_examples=25, deadline=None)
@given(made=counts("abcd"), name=st.sampled_from(sorted(BUILT_IN)))
def test_sums_are_exact(made: list[PathCount], name: str) -> None:
    result = fit(Wanted(model=name), Paths(made), own={})
    assert sum(row.conversions_millionths for row in result.rows) == (
        sum(row.conversions for row in made) * MILLION
    )
    assert sum(row.value_micros for row in result.rows) == sum(row.value_micros for row in made)


def test_models_that_look_at_channels_are_asked_for_every_path() -> None:
    def only_b(touches: Sequence[PathTouch], /, *, at_ms: int, parameters: Any) -> list[int]:
        assert touches[-1].at_ms == at_ms
        assert parameters == {"x": 1}
        return [int(one.channel == "b") for one in touches]

    result = fit(Wanted(model="mine", parameters={"x": 1}), Paths(ROWS), own={"mine": only_b})
    assert {row.channel: row.conversions_millionths for row in result.rows} == {
        "a": 0,
        "b": 2 * MILLION,
        "c": 1 * MILLION,
    }


def test_conversions_with_times_get_their_own_credits_and_cents() -> None:
    touches = path("a", "b", "a")
    made = [
        ConvertedPath(tuple(touches), AT_MS, 100 * MILLION, "EUR"),
        ConvertedPath(tuple(path("b")), AT_MS, 0, None),
        ConvertedPath((), AT_MS, 5 * MILLION, "EUR"),
    ]
    paths = Paths([PathCount(("a", "b", "a"), 1, 100 * MILLION, 0), PathCount(("b",), 1, 0, 0)])
    result = fit(Wanted(model="time_decay"), paths, own={}, conversions=made)
    shares = credit(touches, at_ms=AT_MS, weigh=BUILT_IN["time_decay"])
    by_channel = {row.channel: row for row in result.rows}
    assert by_channel["a"].conversions_millionths == shares[0] + shares[2]
    assert by_channel["b"].conversions_millionths == shares[1] + MILLION
    assert all(row.value_micros % 10_000 == 0 for row in result.rows)
    assert sum(row.value_micros for row in result.rows) == 100 * MILLION


def test_what_cannot_be_fitted_is_said() -> None:
    with pytest.raises(ModelError, match="there is no model best; there are first, last"):
        fitted("best")
    with pytest.raises(ModelError, match="no such parameter: x"):
        fitted("linear", x=1)
    with pytest.raises(ModelError, match="markov takes no parameters"):
        fitted("markov", x=1)
    nothing = Paths([PathCount(("a",), 0, 0, 1)])
    for name in ("last", "markov", "shapley"):
        with pytest.raises(NothingToLearnError):
            fit(Wanted(model=name), nothing, own={})
    with pytest.raises(NothingToLearnError):
        fit(Wanted(model="last"), Paths([]), own={}, conversions=[])
