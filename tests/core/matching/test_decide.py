"""Decisions by example: windows, waterfall, last touch, reinstalls, inheritance, fingerprints."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.matching.world import conversion, touch
from trackstream.core.matching.candidates import Found, FoundPrior
from trackstream.core.matching.decide import Decision, decide
from trackstream.core.matching.resemblance import confidence
from trackstream.core.records import Conversion, Prior, Touch
from trackstream.core.rules import DAY_MS, DEFAULT, HOUR_MS, MATCH_TYPES, FraudRules, Rules

NOW_MS = 100 * DAY_MS
INSTALL = msgspec.structs.replace(
    conversion("c", NOW_MS, ["click:1", "device:d", "fp:f"]),
    ip="192.0.2.7",
    os_name="Android",
    os_version="14",
)


def before(touch_id: str, ago_ms: int, identifier: str, kind: str = "click") -> Found:
    one = touch(touch_id, NOW_MS - ago_ms, [identifier], kind=kind)
    return Found(msgspec.structs.replace(one, ip="192.0.2.7", os_version="14"), [identifier])


def decided(*found: Found, asked: Conversion = INSTALL, rules: Rules = DEFAULT) -> Decision:
    return decide(asked, {one.touch.touch_id: one for one in found}, {}, rules=rules)


def verdicts(decision: Decision) -> dict[str, str]:
    return {one.touch.touch_id: one.verdict for one in decision.candidates}


def test_without_touches_it_is_organic() -> None:
    assert decided() == Decision(method="organic")


@pytest.mark.parametrize(
    ("identifier", "kind", "window_ms", "method"),
    [
        ("device:d", "click", 7 * DAY_MS, "click_deterministic"),
        ("fp:f", "click", 24 * HOUR_MS, "click_probabilistic"),
        ("device:d", "impression", 24 * HOUR_MS, "view_deterministic"),
        ("fp:f", "impression", 6 * HOUR_MS, "view_probabilistic"),
    ],
)
def test_each_match_type_has_its_window_to_the_millisecond(
    identifier: str, kind: str, window_ms: int, method: str
) -> None:
    inside = decided(before("t", window_ms, identifier, kind))
    assert (inside.method, inside.window_ms) == (method, window_ms)
    outside = decided(before("t", window_ms + 1, identifier, kind))
    assert outside.method == "organic"
    assert verdicts(outside) == {"t": "outside_window"}


def test_a_click_just_after_a_slow_clocks_install_counts_until_the_install_arrived() -> None:
    rules = Rules(fraud=FraudRules(min_click_to_install_ms=0))
    slow = msgspec.structs.replace(INSTALL, received_at_ms=NOW_MS + 30_000)
    just = decided(before("t", -30_000, "device:d"), asked=slow, rules=rules)
    assert just.method == "click_deterministic"
    late = decided(before("t", -30_001, "device:d"), asked=slow, rules=rules)
    assert verdicts(late) == {"t": "after_conversion"}
    offline = msgspec.structs.replace(INSTALL, received_at_ms=NOW_MS + DAY_MS)
    last = decided(before("t", -60_000, "device:d"), asked=offline, rules=rules)
    assert last.method == "click_deterministic"
    assert decided(before("t", -60_001, "device:d"), asked=offline).method == "organic"


def test_what_a_slow_clock_makes_look_too_fast_is_left_alone() -> None:
    slow = msgspec.structs.replace(INSTALL, received_at_ms=NOW_MS + 30_000)
    honest = decided(before("t", -20_000, "device:d"), asked=slow)
    assert honest.method == "click_deterministic"
    fast = decided(before("t", -20_001, "device:d"), asked=slow)
    assert verdicts(fast) == {"t": "fraud:click_to_install_too_short"}
    began = msgspec.structs.replace(slow, install_begin_at_ms=NOW_MS - 8_000)
    by_store = decided(before("t", -20_001, "device:d"), asked=began)
    assert by_store.method == "click_deterministic"
    injected = msgspec.structs.replace(began, received_at_ms=NOW_MS + 300)
    assert verdicts(decided(before("t", 4_000, "device:d"), asked=injected)) == {
        "t": "fraud:click_after_install_began"
    }


def test_the_newest_of_the_strongest_match_type_is_chosen() -> None:
    decision = decided(
        before("old", 3 * DAY_MS, "device:d"),
        before("new", 2 * DAY_MS, "click:1"),
        before("guess", HOUR_MS, "fp:f"),
        before("seen", HOUR_MS, "device:d", "impression"),
    )
    assert (decision.method, decision.identifier) == ("click_deterministic", "click:1")
    assert verdicts(decision) == {
        "new": "chosen",
        "old": "older",
        "guess": "lower_class",
        "seen": "lower_class",
    }


def test_a_touch_found_both_ways_is_deterministic() -> None:
    one = before("t", HOUR_MS, "fp:f")
    both = Found(one.touch, ["fp:f", "device:d"])
    decision = decided(both)
    assert (decision.method, decision.identifier, decision.confidence) == (
        "click_deterministic",
        "device:d",
        1.0,
    )


def installed(
    conversion_id: str, at_ms: int, touch_id: str | None, *, kind: str = "install"
) -> FoundPrior:
    by = touch(touch_id, at_ms - 1, ["device:d"]) if touch_id else None
    prior = Prior(conversion_id=conversion_id, kind=kind, at_ms=at_ms, touch=by)
    return FoundPrior(prior, ["device:d"])


def known(*priors: FoundPrior) -> dict[str, FoundPrior]:
    return {one.prior.conversion_id: one for one in priors}


def test_a_reinstall_takes_over_the_install_before() -> None:
    last = installed("c1", NOW_MS - 89 * DAY_MS, "t0")
    last = msgspec.structs.replace(last, prior=msgspec.structs.replace(last.prior, confidence=0.73))
    new = before("t", HOUR_MS, "device:d")
    decision = decide(INSTALL, {"t": new}, known(installed("c0", 1, "t0"), last), rules=DEFAULT)
    assert (decision.method, decision.inherited_from) == ("reinstall", "c1")
    assert (decision.touch, decision.confidence) == (last.prior.touch, 0.73)
    assert verdicts(decision) == {"t": "reinstall"}


def test_a_reinstall_does_not_undo_a_reattribution() -> None:
    priors = known(installed("c0", 1, "first"), installed("c1", NOW_MS - 10 * DAY_MS, "won_back"))
    decision = decide(INSTALL, {}, priors, rules=DEFAULT)
    assert decision.method == "reinstall"
    assert decision.touch is not None
    assert decision.touch.touch_id == "won_back"


@pytest.mark.parametrize("by", [None, "first"])
def test_a_reinstall_does_not_end_a_reengagement(by: str | None) -> None:
    priors = known(
        installed("c0", 1, by),
        installed("c1", NOW_MS - 3 * DAY_MS, "back", kind="reengagement"),
        installed("c2", NOW_MS - 2 * DAY_MS, by),
    )
    bought = conversion("c", NOW_MS, ["device:d"], kind="event")
    assert decide(bought, {}, priors, rules=DEFAULT).inherited_from == "c1"
    anew = priors | known(installed("c2", NOW_MS - 2 * DAY_MS, "anew"))
    assert decide(bought, {}, anew, rules=DEFAULT).inherited_from == "c2"
    late = priors | known(installed("c1", NOW_MS - 8 * DAY_MS, "back", kind="reengagement"))
    assert decide(bought, {}, late, rules=DEFAULT).inherited_from == "c2"


def opened(**names: str) -> Conversion:
    one = conversion("c", NOW_MS, ["device:d"], kind="reengagement")
    return msgspec.structs.replace(one, **names)


def test_an_app_is_opened_by_the_click_that_it_names_or_by_none() -> None:
    found = {
        "old": before("old", 2 * HOUR_MS, "device:d"),
        "new": before("new", HOUR_MS, "device:d"),
    }
    decision = decide(opened(click_id="old"), found, {}, rules=DEFAULT)
    assert verdicts(decision) == {"old": "chosen", "new": "not_named"}
    assert decide(opened(click_id="unknown"), found, {}, rules=DEFAULT).method == "organic"


def test_an_app_is_opened_by_a_click_of_the_campaign_that_it_names() -> None:
    of = {
        name: Found(msgspec.structs.replace(one.touch, campaign_id="back"), one.identifiers)
        for name, one in (
            ("click", before("click", 2 * HOUR_MS, "device:d")),
            ("banner", before("banner", HOUR_MS, "device:d", "impression")),
        )
    }
    named = decide(opened(click_id="unknown", campaign_id="back"), of, {}, rules=DEFAULT)
    assert verdicts(named) == {"click": "chosen", "banner": "not_named"}
    other = opened(campaign_id="another")
    assert decide(other, of, {}, rules=DEFAULT).method == "organic"


def test_a_known_click_that_is_named_goes_before_others_of_its_campaign() -> None:
    of = {
        name: Found(msgspec.structs.replace(one.touch, campaign_id="back"), one.identifiers)
        for name, one in (
            ("old", before("old", 2 * HOUR_MS, "device:d")),
            ("new", before("new", HOUR_MS, "device:d")),
        )
    }
    decision = decide(opened(click_id="old", campaign_id="back"), of, {}, rules=DEFAULT)
    assert verdicts(decision) == {"old": "chosen", "new": "not_named"}


def test_a_click_that_led_to_the_web_and_into_the_app_is_used_by_one_person() -> None:
    install = Prior(conversion_id="c0", kind="install", at_ms=1, touch=touch("a", 0, ["click:t"]))
    priors = {"c0": FoundPrior(install, ["click:t"])}
    found = {"t": before("t", HOUR_MS, "click:t")}
    assert decide(on_the_web("cookie:k"), found, priors, rules=DEFAULT).method == (
        "click_deterministic"
    )
    assert verdicts(decide(INSTALL, found, priors, rules=DEFAULT)) == {
        "t": "fraud:click_used_before"
    }


def test_a_deferred_deep_link_is_no_reengagement_of_the_install_that_it_came_with() -> None:
    found = {"t": before("t", HOUR_MS, "device:d")}
    came = installed("c0", NOW_MS - 2_000, "t")
    decision = decide(opened(click_id="t"), found, known(came), rules=DEFAULT)
    assert (decision.method, verdicts(decision)) == ("organic", {"t": "not_named"})


def on_the_web(*identifiers: str) -> Conversion:
    bought = conversion("c", NOW_MS, list(identifiers), kind="event")
    return msgspec.structs.replace(bought, web=True)


def test_what_happens_on_the_web_is_matched_by_its_own_touches() -> None:
    install = Prior(
        conversion_id="c0", kind="install", at_ms=1, touch=touch("a", 0, ["device:d", "user:u"])
    )
    priors = {"c0": FoundPrior(install, ["user:u"])}
    bought = on_the_web("user:u", "cookie:k")
    found = {"t": before("t", HOUR_MS, "cookie:k")}
    assert decide(bought, found, priors, rules=DEFAULT).method == "click_deterministic"
    assert decide(bought, {}, priors, rules=DEFAULT).method == "organic"
    in_app = msgspec.structs.replace(bought, web=False)
    assert decide(in_app, found, priors, rules=DEFAULT).inherited_from == "c0"


def test_a_web_app_inherits_from_its_install_in_the_same_browser() -> None:
    install = Prior(conversion_id="c0", kind="install", at_ms=1, touch=touch("a", 0, ["cookie:k"]))
    priors = {"c0": FoundPrior(install, ["cookie:k"])}
    assert decide(on_the_web("cookie:k"), {}, priors, rules=DEFAULT).inherited_from == "c0"


def test_nothing_is_inherited_by_a_click_id_that_another_device_has_used_too() -> None:
    install = Prior(conversion_id="c0", kind="install", at_ms=1, touch=touch("a", 0, ["click:a"]))
    priors = {"c0": FoundPrior(install, ["click:a"])}
    bought = conversion("c", NOW_MS, ["device:d"], kind="event")
    assert decide(bought, {}, priors, rules=DEFAULT).method == "organic"


def test_a_touch_of_another_device_that_installed_is_no_match_by_fingerprint() -> None:
    mine = before("t", HOUR_MS, "fp:x")
    same = msgspec.structs.replace(INSTALL, identifiers=["device:d", "fp:x"])
    assert decide(same, {"t": mine}, {}, rules=DEFAULT).method == "click_probabilistic"
    decision = decide(same, {"t": mine}, {}, {"t"}, rules=DEFAULT)
    assert (decision.method, verdicts(decision)) == ("organic", {"t": "another_device"})
    sure = {"t": before("t", HOUR_MS, "device:d")}
    assert decide(same, sure, {}, {"t"}, rules=DEFAULT).method == "click_deterministic"


def test_a_device_that_was_silent_for_ninety_days_is_won_anew_by_a_touch_only() -> None:
    first = Prior(conversion_id="c0", kind="install", at_ms=NOW_MS - 90 * DAY_MS)
    priors = {"c0": FoundPrior(first, ["device:d"])}
    new = before("t", HOUR_MS, "device:d")
    decision = decide(INSTALL, {"t": new}, priors, rules=DEFAULT)
    assert (decision.method, decision.reattribution) == ("click_deterministic", True)
    assert decide(INSTALL, {}, priors, rules=DEFAULT).method == "reinstall"


def test_an_event_inherits_from_a_reengagement_while_its_window_lasts() -> None:
    install = Prior(conversion_id="c0", kind="install", at_ms=1, touch=touch("a", 0, ["device:d"]))
    back = Prior(
        conversion_id="c1",
        kind="reengagement",
        at_ms=NOW_MS - 7 * DAY_MS,
        touch=touch("b", 0, ["device:d"]),
    )
    priors = {one.conversion_id: FoundPrior(one, ["device:d"]) for one in (install, back)}
    inside = conversion("p", NOW_MS, ["device:d"], kind="event")
    outside = conversion("p", NOW_MS + 1, ["device:d"], kind="event")
    assert decide(inside, {}, priors, rules=DEFAULT).inherited_from == "c1"
    assert decide(outside, {}, priors, rules=DEFAULT).inherited_from == "c0"
    unled = FoundPrior(msgspec.structs.replace(back, touch=None), ["device:d"])
    assert decide(inside, {}, {**priors, "c1": unled}, rules=DEFAULT).inherited_from == "c0"


def test_an_event_declared_so_is_matched_by_its_own_touches() -> None:
    install = Prior(conversion_id="c0", kind="install", at_ms=1)
    priors = {"c0": FoundPrior(install, ["device:d"])}
    asked = conversion("p", NOW_MS, ["device:d"], kind="event")
    found = {"t": before("t", HOUR_MS, "device:d")}
    rules = Rules(own_touch_events=("event",))
    assert decide(asked, found, priors, rules=rules).method == "click_deterministic"
    assert decide(asked, found, priors, rules=DEFAULT).method == "inherited"


def test_the_waterfall_is_the_apps() -> None:
    click, view = before("t", HOUR_MS, "device:d"), before("v", HOUR_MS, "device:d", "impression")
    views_first = Rules(waterfall=("view_deterministic", "click_deterministic"))
    assert decided(click, view, rules=views_first).method == "view_deterministic"
    clicks_only = Rules(waterfall=("click_deterministic",))
    assert verdicts(decided(view, rules=clicks_only)) == {"v": "not_in_waterfall"}


def test_two_devices_that_are_too_alike_are_both_refused_and_the_more_alike_one_is_chosen() -> None:
    def by(cookie: str, **looks: str) -> Found:
        one = before(cookie, HOUR_MS, "fp:f").touch
        more = {"identifiers": ["fp:f", f"cookie:{cookie}"], **looks}
        return Found(msgspec.structs.replace(one, **more), ["fp:f"])

    close = decided(by("a"), by("b"))
    assert close.method == "organic"
    assert verdicts(close) == {"a": "ambiguous", "b": "ambiguous"}
    apart = decided(by("a"), by("b", os_version="9"))
    assert (apart.method, apart.touch and apart.touch.touch_id) == ("click_probabilistic", "a")
    twice = decided(by("a"), Found(msgspec.structs.replace(by("a").touch, touch_id="a2"), ["fp:f"]))
    assert twice.method == "click_probabilistic"


def test_an_install_on_a_users_other_device_is_no_reinstall() -> None:
    other = Prior(conversion_id="c0", kind="install", at_ms=1)
    priors = {"c0": FoundPrior(other, ["user:u", "device:other"])}
    new = before("t", HOUR_MS, "device:d")
    assert decide(INSTALL, {"t": new}, priors, rules=DEFAULT).method == "click_deterministic"


def test_an_event_inherits_from_its_own_devices_latest_install() -> None:
    purchase = conversion("p", NOW_MS, ["user:u", "device:d"], kind="event")
    mine = Prior(conversion_id="c0", kind="install", at_ms=1, touch=touch("a", 0, ["device:d"]))
    other = Prior(conversion_id="c1", kind="install", at_ms=9, touch=touch("b", 0, ["device:o"]))
    priors = {"c0": FoundPrior(mine, ["device:d"]), "c1": FoundPrior(other, ["device:o"])}
    decision = decide(purchase, {}, priors, rules=DEFAULT)
    assert (decision.method, decision.inherited_from, decision.touch) == (
        "inherited",
        "c0",
        mine.touch,
    )
    by_user = conversion("p", NOW_MS, ["user:u"], kind="event")
    assert decide(by_user, {}, priors, rules=DEFAULT).inherited_from == "c1"


def test_a_fingerprint_alone_needs_enough_agreement() -> None:
    far = msgspec.structs.replace(before("t", HOUR_MS, "fp:f").touch, ip="192.0.2.99")
    decision = decided(Found(far, ["fp:f"]))
    assert decision.method == "organic"
    assert verdicts(decision) == {"t": "low_confidence"}
    near = decided(before("t", HOUR_MS, "fp:f"))
    assert near.method == "click_probabilistic"
    assert DEFAULT.min_confidence <= near.confidence < 1


def test_probabilistic_matching_can_be_switched_off() -> None:
    off = decided(before("t", HOUR_MS, "fp:f"), rules=Rules(probabilistic=False))
    assert (off.method, verdicts(off)) == ("organic", {"t": "probabilistic_off"})


texts = st.none() | st.sampled_from(["14", "Pixel 8", "de-AT", "de", "fr", "192.0.2.7", "::1", ""])


@given(a=st.tuples(texts, texts, texts, texts), b=st.tuples(texts, texts, texts, texts))
def test_confidence_is_a_share_and_does_not_prefer_a_side(
    a: tuple[str | None, ...], b: tuple[str | None, ...]
) -> None:
    names = ("ip", "os_version", "device_model", "language")

    def score(mine: tuple[str | None, ...], theirs: tuple[str | None, ...]) -> float:
        return confidence(
            msgspec.structs.replace(INSTALL, **dict(zip(names, mine, strict=True))),
            msgspec.structs.replace(
                touch("t", 0, ["fp:f"]), **dict(zip(names, theirs, strict=True))
            ),
        )

    assert 0 <= score(a, b) <= 1
    assert score(a, b) == score(b, a)


@given(
    st.lists(
        st.tuples(
            st.integers(-HOUR_MS, 9 * DAY_MS),
            st.sampled_from(["click:1", "device:d", "fp:f"]),
            st.sampled_from(["click", "impression"]),
        ),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_the_decision_does_not_depend_on_the_order_of_its_facts(
    facts: list[tuple[int, str, str]], random: object
) -> None:
    found = [before(f"t{n}", *fact) for n, fact in enumerate(facts)]
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # Hypothesis gives a Random
    decision = decided(*found)
    assert decision == decided(*shuffled)
    chosen = [one for one in decision.candidates if one.verdict == "chosen"]
    assert len(chosen) == (decision.method != "organic")
    if chosen:
        strongest = min(
            MATCH_TYPES.index(one.match_type)
            for one in decision.candidates
            if one.verdict in {"chosen", "older", "lower_class"}
        )
        assert MATCH_TYPES.index(chosen[0].match_type) == strongest


def test_touches_of_bots_get_no_credit() -> None:
    robot: Touch = msgspec.structs.replace(before("t", HOUR_MS, "device:d").touch, bot=True)
    decision = decided(Found(robot, ["device:d"]))
    assert (decision.method, verdicts(decision)) == ("organic", {"t": "fraud:bot"})
