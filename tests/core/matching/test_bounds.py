"""What is forgotten first is what cannot win, whatever the order in which it came."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.matching.world import APP, conversion, touch
from trackstream.core.matching.bounds import foremost, kept
from trackstream.core.matching.gather import gather
from trackstream.core.matching.owner import IdentifierState, own
from trackstream.core.records import Answer, Outcome, Prior, Probe, Touch
from trackstream.core.rules import DAY_MS, HOUR_MS, FraudRules, Rules

NOW_MS = 1_700_000_000_000
RULES = Rules(fraud=FraudRules(min_click_to_install_ms=0))
OWN = "gaid:a"
SHARED = "fp:x"


def decided(answers: list[Answer], rules: Rules = RULES) -> tuple[str, str | None]:
    """The method and the touch once all answers have come."""
    state, last = None, None
    for offset, answer in enumerate(answers):
        state, out = gather(state, answer, offset=offset, at_ms=NOW_MS, rules=rules)
        last = out.attribution or last
    assert last is not None
    return last.method, last.touch.touch_id if last.touch else None


def answered(touches: list[Touch], identifier: str, asked_of: list[str]) -> Answer:
    """What the owner of an identifier that has seen these says to an install."""
    state = IdentifierState()
    for one in touches:
        state, _ = own(state, one, identifier=identifier, rules=RULES)
    asked = conversion("c", NOW_MS, asked_of)
    probe = Probe(app_id=APP, identifier=identifier, conversion=asked, depth=0)
    _, (answer,) = own(state, probe, identifier=identifier, rules=RULES)
    return answer


def test_strangers_behind_an_address_do_not_push_out_the_click_that_an_install_names() -> None:
    named = touch("named", NOW_MS - 2 * DAY_MS, ["click:named"])
    crowd = [touch(f"s{n}", NOW_MS - n * 1000 - 1, [SHARED]) for n in range(300)]
    both = ["click:named", SHARED]
    answers = [answered([named], "click:named", both), answered(crowd, SHARED, both)]
    for order in (answers, answers[::-1]):
        assert decided(order) == ("click_deterministic", "named")


def test_banners_do_not_push_out_a_click() -> None:
    click = touch("click", NOW_MS - 5 * DAY_MS, [OWN])
    banners = [
        touch(f"b{n}", NOW_MS - n * HOUR_MS // 4 - 1, [OWN], kind="impression") for n in range(300)
    ]
    for order in ([click, *banners], [*banners, click]):
        assert decided([answered(order, OWN, [OWN])]) == ("click_deterministic", "click")


def test_who_floods_does_not_push_out_the_honest_click() -> None:
    honest = touch("honest", NOW_MS - 3 * DAY_MS, [OWN])
    flood = [
        touch(f"f{hour}.{n}", NOW_MS - hour * HOUR_MS - n * 20_000 - 1, [OWN])
        for hour in range(24)
        for n in range(100)
    ]
    flood.sort(key=lambda one: one.at_ms)
    for order in ([honest, *flood], [*flood, honest]):
        assert decided([answered(order, OWN, [OWN])]) == ("click_deterministic", "honest")


@pytest.mark.parametrize("kind", ["event", "reengagement"])
def test_hundreds_of_purchases_or_returns_do_not_push_out_the_install(kind: str) -> None:
    install = Prior(conversion_id="install", kind="install", at_ms=1)
    bought = [Prior(conversion_id=f"p{n}", kind=kind, at_ms=2 + n) for n in range(300)]
    for order in ([install, *bought], [*bought, install], [*bought[::-1], install]):
        state = IdentifierState()
        for one in order:
            told = Outcome(
                app_id=APP,
                identifier=OWN,
                conversion_id=one.conversion_id,
                kind=one.kind,
                at_ms=one.at_ms,
                revision=1,
                method="organic",
            )
            state, _ = own(state, told, identifier=OWN, rules=RULES)
        assert len(state.priors) == RULES.max_probes
        assert state.priors[-1].conversion_id == "install"


@given(
    clicks=st.lists(st.integers(0, 3), max_size=20),
    most=st.integers(1, 6),
    per_hour=st.integers(1, 9),
)
def test_there_is_always_something_kept(clicks: list[int], most: int, per_hour: int) -> None:
    made = [touch(f"t{n}", at * HOUR_MS // 2, [OWN]) for n, at in enumerate(clicks)]
    left = kept(made, most, per_hour=per_hour)
    assert len(left) == min(most, len(made)) or per_hour < most
    assert bool(left) == bool(made)


touches = st.lists(
    st.builds(
        touch,
        st.uuids().map(str),
        st.integers(0, 12).map(lambda n: n * HOUR_MS // 4),
        st.just([OWN]),
        kind=st.sampled_from(["click", "impression"]),
    ),
    max_size=24,
    unique_by=lambda one: one.touch_id,
)


@given(all_=touches, data=st.data(), most=st.integers(1, 12), strangers=st.booleans())
def test_any_order_keeps_the_same(
    all_: list[Touch], data: st.DataObject, most: int, *, strangers: bool
) -> None:
    guessed = {one.touch_id for one in all_[::3]} if strangers else set[str]()

    def come(known: list[Touch], one: Touch) -> list[Touch]:
        return kept([*known, one], most, guessed=guessed)

    order = data.draw(st.permutations(all_))
    assert reduce(come, order, list[Touch]()) == kept(all_, most, guessed=guessed)


@given(all_=touches, most=st.integers(5, 12))
def test_no_flooded_click_takes_the_place_of_another(all_: list[Touch], most: int) -> None:
    per_hour = 2

    def come(known: list[Touch], one: Touch) -> list[Touch]:
        return kept([*known, one], most, per_hour=per_hour)

    left = reduce(come, _newest(all_, len(all_)), list[Touch]())
    clicks = [one for one in all_ if one.kind == "click"]
    honest = [one for one in clicks if _within_an_hour(one, clicks) <= per_hour]
    assert len(left) <= most
    # The first of a flood look honest, too; and some are kept that show it.
    sure = _newest(honest, most - 2 * per_hour - 1)
    assert {one.touch_id for one in sure} <= {one.touch_id for one in left}
    still = [one for one in left if one.kind == "click"]
    assert all(_within_an_hour(one, still) > per_hour for one in still if one not in honest)


def _within_an_hour(one: Touch, clicks: list[Touch]) -> int:
    """How many the fullest hour has that it is in."""
    begins = [each.at_ms for each in clicks if 0 <= one.at_ms - each.at_ms < HOUR_MS]
    return max(sum(0 <= each.at_ms - begin < HOUR_MS for each in clicks) for begin in begins)


def _newest(touches: list[Touch], most: int) -> list[Touch]:
    ordered = sorted(touches, key=lambda one: (one.at_ms, one.touch_id))
    return ordered[max(0, len(ordered) - most) :]


@given(
    priors=st.lists(
        st.builds(
            Prior,
            conversion_id=st.uuids().map(str),
            kind=st.sampled_from(["install", "event", "reengagement"]),
            at_ms=st.integers(0, 5),
        ),
        max_size=12,
    ),
    data=st.data(),
    most=st.integers(1, 6),
)
def test_earlier_conversions_are_the_same_in_any_order(
    priors: list[Prior], data: st.DataObject, most: int
) -> None:
    order = data.draw(st.permutations(priors))
    streamed = reduce(lambda known, one: foremost([*known, one], most), order, list[Prior]())
    assert streamed == foremost(priors, most)
