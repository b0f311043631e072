from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.funnelled import BEGIN_MS, END_MS, funnels, happened
from trackstream.core.funnels import (
    Filter,
    Funnel,
    Happened,
    Step,
    StepFigures,
    advance,
    figures,
    furthest,
)
from trackstream.core.funnels_file import FunnelsError, funnels_of_text, version_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.core.funnels import Chain, Progress

PAGE = Path(__file__).parents[2] / "docs" / "funnels.md"
# A busy machine draws slowly.
BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
THREE = Funnel(
    name="f", within_ms=5000, steps=tuple(Step(events=(one,)) for one in ("view", "cart", "buy"))
)


def chain(funnel: Funnel, events: Iterable[Happened]) -> Chain:
    progress: Progress = ()
    for event in events:
        progress = advance(progress, funnel, event, begin_ms=BEGIN_MS, end_ms=END_MS)
    return furthest(progress)


def at(*pairs: tuple[str, int]) -> list[Happened]:
    return [Happened(at_ms, event, {}) for event, at_ms in pairs]


@pytest.mark.parametrize(
    ("events", "counted"),
    [
        ([], ()),
        ([("cart", 11_000), ("buy", 12_000)], ()),
        ([("view", 11_000), ("x", 11_500), ("cart", 12_000), ("buy", 16_000)], (11, 12, 16)),
        ([("view", 11_000), ("cart", 12_000), ("buy", 16_001)], (11, 12)),
        ([("view", 11_000), ("buy", 12_000), ("cart", 13_000)], (11, 13)),
        # At one moment nothing comes after the other.
        ([("view", 11_000), ("cart", 11_000), ("buy", 12_000)], (11,)),
        # The first of two that come as far; one that comes further, be it later.
        ([("view", 11_000), ("view", 12_000), ("cart", 13_000)], (11, 13)),
        ([("view", 11_000), ("cart", 11_500), ("view", 14_000), ("cart", 15_000), ("buy", 19_000)],
         (14, 15, 19)),
        # Entries are of the period, later steps may come after it.
        ([("view", 9_999), ("cart", 12_000)], ()),
        ([("view", 20_000), ("cart", 21_000)], ()),
        ([("view", 19_000), ("cart", 20_000), ("buy", 24_000)], (19, 20, 24)),
    ],
)  # fmt: skip
def test_examples(events: list[tuple[str, int]], counted: tuple[int, ...]) -> None:
    assert tuple(one // 1000 for one in chain(THREE, at(*events))) == counted


def test_the_same_step_twice_takes_two_events() -> None:
    twice = Funnel(name="f", within_ms=5000, steps=(Step(events=("view",)),) * 2)
    assert chain(twice, at(("view", 11_000))) == (11_000,)
    assert chain(twice, at(("view", 11_000), ("view", 12_000))) == (11_000, 12_000)


@BUSY
@given(funnels, st.lists(happened, max_size=9))
def test_it_comes_as_far_as_any_choice_of_events_does(
    funnel: Funnel, events: list[Happened]
) -> None:
    events.sort(key=lambda one: one.at_ms)
    most = 0
    for size in range(1, len(funnel.steps) + 1):
        for chosen in combinations(events, size):
            times = [one.at_ms for one in chosen]
            if (
                BEGIN_MS <= times[0] < END_MS
                and times[-1] - times[0] <= funnel.within_ms
                and all(a < b for a, b in pairwise(times))
                and all(s.matches(one) for s, one in zip(funnel.steps, chosen, strict=False))
            ):
                most = size
    assert len(chain(funnel, events)) == most


@BUSY
@given(funnels, st.lists(happened, max_size=12), st.randoms(use_true_random=False))
def test_of_one_moment_the_order_makes_no_difference(
    funnel: Funnel, events: list[Happened], random: object
) -> None:
    ordered = sorted(events, key=lambda one: one.at_ms)
    random.shuffle(events)  # type: ignore[attr-defined]  # it is a Random
    assert chain(funnel, sorted(events, key=lambda one: one.at_ms)) == chain(funnel, ordered)


def test_figures() -> None:
    chains = [(0, 10, 30), (0, 20), (0, 40), (5,), ()]
    assert figures(THREE, chains) == [
        StepFigures(count=4, of_previous=None, of_first=1.0, median_ms=None),
        StepFigures(count=3, of_previous=0.75, of_first=0.75, median_ms=20.0),
        StepFigures(count=1, of_previous=1 / 3, of_first=0.25, median_ms=20.0),
    ]
    assert figures(THREE, [])[2] == StepFigures(
        count=0, of_previous=None, of_first=None, median_ms=None
    )


@pytest.mark.parametrize(
    ("one", "accepted", "refused"),
    [
        (Filter(name="p", any_of=(1, "x")), [1, 1.0, "x"], [True, "1", None, 2, [1]]),
        (Filter(name="p", any_of=(True,)), [True], [1, False]),
        (Filter(name="p", min=2), [2, 2.5], [1.9, "3", True, None]),
        (Filter(name="p", min=0, max=2), [0, 2], [-1, 3, True]),
    ],
)
def test_filters(one: Filter, accepted: list[object], refused: list[object]) -> None:
    assert all(one.accepts({"p": value}) for value in accepted)
    assert not any(one.accepts({"p": value}) for value in refused)
    assert not one.accepts({})


FILE = """
[checkout]
within = "7d"
[[checkout.steps]]
event = ["view", "list"]
[[checkout.steps]]
event = "buy"
where = { country = "DE", n = [1, 2], price = { min = 10 } }
[visit]
by = "session"
within = "30m"
steps = [{ event = "a" }, { event = "b" }]
"""


def test_a_file_becomes_funnels() -> None:
    made = funnels_of_text(FILE)
    assert list(made) == ["checkout", "visit"]
    assert made["checkout"] == Funnel(
        name="checkout",
        within_ms=7 * 86_400_000,
        steps=(
            Step(events=("view", "list")),
            Step(
                events=("buy",),
                where=(
                    Filter(name="country", any_of=("DE",)),
                    Filter(name="n", any_of=(1, 2)),
                    Filter(name="price", min=10),
                ),
            ),
        ),
    )
    assert (made["visit"].by, made["visit"].within_ms) == ("session", 1_800_000)
    assert version_of(made) == version_of(funnels_of_text(FILE + "# the same\n"))
    assert version_of(made) != version_of({})


def test_all_problems_are_told_at_once() -> None:
    text = """
x = 1
["a b"]
within = "8"
by = "team"
steps = [{ event = "a", wher = 1 }]
[c]
within = "400d"
steps = [{ event = [] }, 3, { event = "b", where = { p = { least = 1 }, q = [], r = nan } }]
[d]
within = "1d"
steps = [{ event = "a", where = 3 }, { event = "b" }]
"""
    with pytest.raises(FunnelsError) as raised:
        funnels_of_text(text)
    assert [one.split()[0] for one in raised.value.problems] == [
        "x",
        "a",
        "a",
        "a",
        "a",
        "c.within",
        "c.steps[1].event",
        "c.steps[2]",
        "c.steps[3].where.p.least",
        "c.steps[3].where.p",
        "c.steps[3].where.q",
        "c.steps[3].where.r",
        "d.steps[1].where",
    ]


@pytest.mark.parametrize("text", ["[", f"a = {'9' * 5000}", f"a = {'[' * 10_000}"])
def test_what_is_not_toml_says_so(text: str) -> None:
    with pytest.raises(FunnelsError, match="not TOML"):
        funnels_of_text(text)


def test_a_number_that_no_float_holds_is_none() -> None:
    step = f'{{ event = "b", where = {{ p = {{ min = {"9" * 400} }} }} }}'
    with pytest.raises(FunnelsError, match=r"a\.steps\[2\]\.where\.p takes numbers"):
        funnels_of_text(f'[a]\nwithin = "1d"\nsteps = [{{ event = "a" }}, {step}]')


def test_the_file_on_the_page_is_valid() -> None:
    file = PAGE.read_text("utf-8").partition("```toml\n")[2].partition("```")[0]
    assert len(funnels_of_text(file)) == 2
