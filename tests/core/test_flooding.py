"""Sources by their click-to-install times: flooders are found, and the honest are left alone."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.matching.world import conversion
from trackstream.core.flooding import (
    Group,
    Judged,
    Limits,
    adjusted,
    binomial_tail,
    counted_ms,
    judge,
    later_by,
)
from trackstream.core.rules import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.core.records import Conversion

WINDOW_MS = 7 * DAY_MS
GROUP = Group("click_deterministic", WINDOW_MS)


NOW_MS = 100 * DAY_MS


def install(**more: object) -> Conversion:
    return msgspec.structs.replace(conversion("c", NOW_MS, ["device:d"]), **more)


COUNTED = {
    "in ten seconds": (10_000, install(), 10_000),
    "in five": (5_000, install(), 5_000),
    "in five, and the store says that the download began after the click": (
        5_000,
        install(install_begin_at_ms=NOW_MS - 4_000),
        10_000,
    ),
    "in five, and that it began in the second of the click": (
        5_000,
        install(install_begin_at_ms=NOW_MS - 5_999),
        10_000,
    ),
    "in five, and that it began before": (
        5_000,
        install(install_begin_at_ms=NOW_MS - 6_000),
        5_000,
    ),
    "in five, but that was a slow clock": (5_000, install(latest_at_ms=NOW_MS + 5_000), 10_000),
    "in five, by a clock that is not so slow": (5_000, install(latest_at_ms=NOW_MS + 4_999), 5_000),
    "in five, and it is only known when it came": (
        5_000,
        install(received_at_ms=NOW_MS + 5_000),
        10_000,
    ),
    "in five, it began before by a clock that is slow": (
        5_000,
        install(install_begin_at_ms=NOW_MS - 6_000, latest_at_ms=NOW_MS + 1),
        10_000,
    ),
    "in five, it began before by the store's servers": (
        5_000,
        install(install_begin_at_ms=NOW_MS - 6_000, latest_at_ms=NOW_MS + 1, server_times=True),
        5_000,
    ),
    "before the click, by a clock that is not so slow": (
        -3_000,
        install(latest_at_ms=NOW_MS + 4_000),
        0,
    ),
    "nobody knows any more": (5_000, None, 10_000),
}


@pytest.mark.parametrize("name", COUNTED)
def test_only_what_surely_was_fast_counts_as_fast(name: str) -> None:
    took_ms, asked, counted = COUNTED[name]
    assert counted_ms(took_ms, asked) == counted


def test_a_source_with_fast_downloads_is_honest_and_one_that_injects_is_not() -> None:
    others = People(1).wanting(2000)
    verdicts = {}
    for began_ms in (NOW_MS - 4_000, None):
        fast = [counted_ms(5_000, install(install_begin_at_ms=began_ms)) for _ in range(60)]
        judged = judge({GROUP: {"it": fast, "others": others}})
        verdicts[began_ms] = next(one.verdict for one in judged if one.source == "it")
    assert verdicts == {NOW_MS - 4_000: "ordinary", None: "injection"}


class People:
    """Made-up installs; the same seed, the same people."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def wanting(
        self, count: int, *, median_ms: float = HOUR_MS / 2, sigma: float = 1.5
    ) -> list[int]:
        """Most within hours, some much later, all within the window."""
        found: list[int] = []
        while len(found) < count:
            time = int(self.random.lognormvariate(0, sigma) * median_ms)
            if 15_000 < time <= WINDOW_MS:
                found.append(time)
        return found

    def anyway(self, count: int) -> list[int]:
        """At any time: they have seen no ad."""
        return [self.random.randint(15_000, WINDOW_MS) for _ in range(count)]

    def by_day(self, count: int) -> list[int]:
        """At any time when people are awake."""
        found: list[int] = []
        while len(found) < count:
            time = self.random.randint(15_000, WINDOW_MS)
            if time % DAY_MS < 14 * HOUR_MS:
                found.append(time)
        return found

    def waiting(self, count: int, least_ms: int, most_ms: int) -> list[int]:
        """Wanting it, after a download that takes so long."""
        shifted = [
            one + self.random.randint(least_ms, most_ms) for one in self.wanting(count, sigma=1.0)
        ]
        return [min(one, WINDOW_MS) for one in shifted]


def verdict_of(times: list[int], *, seed: int, limits: Limits | None = None) -> Judged:
    """Of a source with these times, in an app where 2000 others want it."""
    judged = judge({GROUP: {"it": times, "others": People(seed).wanting(2000)}}, limits=limits)
    return next(one for one in judged if one.source == "it")


FLOODING: dict[str, Callable[[People], list[int]]] = {
    "sixty, at any time": lambda p: p.anyway(60),
    "three hundred, at any time": lambda p: p.anyway(300),
    "at any time of the day": lambda p: p.by_day(200),
    "three quarters at any time": lambda p: p.anyway(300) + p.wanting(100),
}
HONEST: dict[str, Callable[[People], list[int]]] = {
    "people who want it": lambda p: p.wanting(200),
    "few people who want it": lambda p: p.wanting(30),
    "downloads of some hours": lambda p: p.waiting(200, 2 * HOUR_MS, 10 * HOUR_MS),
    "downloads of a day or two": lambda p: p.waiting(200, DAY_MS, 2 * DAY_MS),
    "on the next evening": lambda p: [DAY_MS + n * 60_000 for n in range(100)],
    "people who think it over": lambda p: p.wanting(400, median_ms=12 * HOUR_MS, sigma=1.3),
    "a quarter comes late at any time": lambda p: p.wanting(300) + p.anyway(100),
    "all at the same moment": lambda p: [HOUR_MS] * 50,
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", FLOODING)
def test_a_flat_source_is_flooding(name: str, seed: int) -> None:
    judged = verdict_of(FLOODING[name](People(100 + seed)), seed=seed)
    assert judged.verdict == "flooding"
    assert judged.p_flooding < 0.01
    assert judged.far_share > 0.3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_source_is_left_alone(name: str, seed: int) -> None:
    assert verdict_of(HONEST[name](People(100 + seed)), seed=seed).verdict in {"ordinary", "late"}


def test_slow_downloads_are_seen_and_named_late() -> None:
    judged = verdict_of(HONEST["downloads of a day or two"](People(1)), seed=1)
    assert (judged.verdict, judged.day_share) == ("late", 1.0)
    assert judged.distance > 0.8


def test_installs_within_seconds_are_injection() -> None:
    people = People(3)
    times = people.wanting(100) + [people.random.randint(500, 6_000) for _ in range(30)]
    judged = verdict_of(times, seed=3)
    assert (judged.verdict, round(judged.spike_share, 2)) == ("injection", 0.23)
    once = verdict_of([*people.wanting(100), 3_000, 4_000], seed=3)
    assert once.verdict == "ordinary"
    slow_clocks = verdict_of([*people.wanting(100), *range(-30_000, 0, 1_000)], seed=3)
    assert (slow_clocks.verdict, slow_clocks.spike_share) == ("ordinary", 0.0)


def test_too_few_to_tell_are_not_judged() -> None:
    few = verdict_of(People(1).anyway(29), seed=1)
    assert (few.verdict, few.p_flooding, few.p_injection) == ("few_installs", 1.0, 1.0)
    assert verdict_of(People(1).anyway(100), seed=1, limits=Limits(min_installs=101)).verdict == (
        "few_installs"
    )


def test_the_only_source_has_nobody_to_be_compared_with() -> None:
    [only] = judge({GROUP: {"it": People(1).anyway(500)}})
    assert (only.verdict, only.distance) == ("no_others", 0.0)
    assert judge({GROUP: {"it": []}}) == []


def test_an_app_whose_people_all_take_their_time_has_no_flooders() -> None:
    """Where everybody is flat, flat says nothing."""
    people = People(5)
    judged = judge({GROUP: {f"s{n}": people.anyway(100) for n in range(20)}})
    assert {one.verdict for one in judged} == {"ordinary"}


def test_match_types_are_not_mixed() -> None:
    """A fingerprint's window is a day: its times are short, and no measure for a week's."""
    people = People(6)
    short = [one % DAY_MS for one in people.wanting(500)]
    day = Group("click_probabilistic", DAY_MS)
    judged = judge({GROUP: {"it": people.anyway(100)}, day: {"others": short, "it": short[:50]}})
    assert {(one.source, one.match_type): one.verdict for one in judged} == {
        ("it", "click_deterministic"): "no_others",
        ("it", "click_probabilistic"): "ordinary",
        ("others", "click_probabilistic"): "ordinary",
    }


def test_two_flooders_among_many_are_found_and_none_beside() -> None:
    people = People(7)
    sources = {f"honest{n}": people.wanting(30 + n) for n in range(100)}
    sources |= {"flood/a": people.anyway(80), "flood/b": people.anyway(800)}
    judged = judge({GROUP: sources})
    assert [one.source for one in judged[:2]] == ["flood/b", "flood/a"]
    assert [one.source for one in judged if one.verdict == "flooding"] == ["flood/b", "flood/a"]
    assert not [one for one in judged if one.verdict == "injection"]


def test_the_level_is_kept_where_there_is_no_difference() -> None:
    """Of 400 samples from the others' own distribution, at most five in a hundred are below 5%."""
    people = People(8)
    others = people.wanting(400)
    below = 0
    for _ in range(400):
        mine = sorted(people.wanting(40))
        distance = later_by(mine, sorted(others + mine))
        below += 2 * distance**2 * 40 * 400 / 440 > 2.9957  # exp(-2.9957) = 0.05
    assert below <= 20 + 3 * 4.4


@given(
    mine=st.lists(st.integers(0, 20), min_size=1, max_size=12),
    others=st.lists(st.integers(0, 20), min_size=1, max_size=12),
)
def test_the_distance_is_that_of_its_definition(mine: list[int], others: list[int]) -> None:
    def share(of: list[int], until: int) -> Fraction:
        return Fraction(sum(one <= until for one in of), len(of))

    by_definition = max(share(others, t) - share(mine, t) for t in range(-1, 21))
    assert later_by(sorted(mine), sorted(mine + others)) == pytest.approx(float(by_definition))


@given(count=st.integers(1, 60), tenths=st.integers(1, 9), data=st.data())
def test_the_binomial_tail_is_exact(count: int, tenths: int, data: st.DataObject) -> None:
    at_least = data.draw(st.integers(0, count))
    share = Fraction(tenths, 10)
    exact = sum(
        comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(at_least, count + 1)
    )
    found = binomial_tail(count, float(share), at_least)
    if at_least <= count * float(share):
        assert found == 1.0
    else:
        assert found == pytest.approx(float(exact), rel=1e-9)


def test_the_binomial_tail_of_a_large_source_is_quick() -> None:
    assert binomial_tail(2_000_000, 0.25, 500_500) == pytest.approx(0.207, abs=0.01)
    assert binomial_tail(2_000_000, 0.25, 1_000_000) == 0.0


def test_p_values_are_adjusted_as_published() -> None:
    """The example of Benjamini and Hochberg's paper (1995), section 3.2: four are found at 0.05."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    p_values += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
    found = adjusted(p_values)
    assert sum(p <= 0.05 for p in found) == 4
    assert found == sorted(found)
    assert found[3] == pytest.approx(0.0095 * 15 / 4)
    assert adjusted([]) == []


@given(st.lists(st.floats(0, 1), max_size=8), st.randoms(use_true_random=False))
def test_adjusting_keeps_the_order_and_lowers_nothing(
    p_values: list[float], random: Random
) -> None:
    found = adjusted(p_values)
    assert all(after >= before for before, after in zip(p_values, found, strict=True))
    assert all(one <= 1 for one in found)
    pairs = list(zip(p_values, found, strict=True))
    random.shuffle(pairs)
    again = adjusted([before for before, _ in pairs])
    assert again == pytest.approx([after for _, after in pairs])
