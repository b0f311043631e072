"""Fraud rules: each on its own case, and what only looks odd is left alone."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.matching.world import conversion, touch
from trackstream.core.fraud import CHECKS, Case, fullest_hours, judge
from trackstream.core.matching.candidates import Found, FoundPrior
from trackstream.core.matching.decide import Decision, decide
from trackstream.core.records import Conversion, Prior, Touch
from trackstream.core.rules import (
    DAY_MS,
    DEFAULT,
    FRAUD_RULES,
    HOUR_MS,
    Blocklists,
    FraudRules,
    Rules,
)

NOW_MS = 100 * DAY_MS
HERE = "192.0.2.7"
INSTALL = msgspec.structs.replace(conversion("c", NOW_MS, ["click:1", "device:d"]), ip=HERE)
CLICK = msgspec.structs.replace(touch("1", NOW_MS - HOUR_MS, ["click:1", "device:d"]), ip=HERE)
ALL = FraudRules(actions=dict.fromkeys(FRAUD_RULES, "reject"))


def case(
    asked: Conversion = INSTALL, clicked: Touch = CLICK, rules: FraudRules = ALL, **more: object
) -> Case:
    fields = {
        "identifier": "device:d",
        "installs_of_click": [],
        **more,
    }
    return Case(conversion=asked, touch=clicked, rules=rules, **fields)  # type: ignore[arg-type] # test data


def asked(**more: object) -> Conversion:
    return msgspec.structs.replace(INSTALL, **more)


def clicked(**more: object) -> Touch:
    return msgspec.structs.replace(CLICK, **more)


LISTED = FraudRules(
    actions=ALL.actions,
    blocklists=Blocklists(
        ips=("203.0.113.0/24", "2001:db8::/32"),
        user_agents=("HeadlessFarm",),
        sub_publishers=("shady",),
        sources=("summer/flood",),
    ),
)

FRAUD = {
    "click_after_install_began": case(asked(install_begin_at_ms=CLICK.at_ms - 1000)),
    "click_to_install_too_short": case(clicked=clicked(at_ms=NOW_MS - 9_999)),
    "bot": case(clicked=clicked(bot=True)),
    "emulator": case(asked(device_model="sdk_gphone64_arm64")),
    "data_centre": case(asked(asn=16509)),
    "blocked_ip": case(asked(ip="::ffff:203.0.113.9"), rules=LISTED),
    "blocked_user_agent": case(clicked=clicked(user_agent="x headlessfarm/1"), rules=LISTED),
    "blocked_sub_publisher": case(clicked=clicked(sub_publisher="shady"), rules=LISTED),
    "click_flooding": case(clicks_in_hour=61),
    "click_used_before": case(
        installs_of_click=[Prior(conversion_id="c0", kind="install", at_ms=1)]
    ),
    "flooding_source": case(
        clicked=clicked(campaign_id="summer", sub_publisher="flood"), rules=LISTED
    ),
    "many_devices": case(devices=21),
    "geo_mismatch": case(asked(country="AT"), clicked(country="VN")),
}


def test_the_checks_are_the_rules_in_their_order() -> None:
    assert tuple(name for name, _ in CHECKS) == FRAUD_RULES == tuple(FRAUD)


@pytest.mark.parametrize("name", FRAUD_RULES)
def test_each_rule_rejects_its_case_alone(name: str) -> None:
    assert judge(FRAUD[name]) == (name, [])


@pytest.mark.parametrize("name", FRAUD_RULES)
def test_each_rule_can_flag_only_or_be_switched_off(name: str) -> None:
    one = FRAUD[name]
    for action, want in (("flag", (None, [name])), ("off", (None, []))):
        rules = msgspec.structs.replace(one.rules, actions={**ALL.actions, name: action})
        assert judge(msgspec.structs.replace(one, rules=rules)) == want


STORE_MS = NOW_MS - 5_000

HONEST = {
    "nothing odd": case(),
    "a fast install by the store's own times": case(
        asked(install_begin_at_ms=STORE_MS), clicked(at_ms=STORE_MS - 3_000)
    ),
    "a click in the second of the store's time": case(
        asked(install_begin_at_ms=STORE_MS), clicked(at_ms=STORE_MS + 999)
    ),
    "a clock that may be half a minute slow, with the store's times": case(
        asked(install_begin_at_ms=STORE_MS), clicked(at_ms=STORE_MS + 25_000), slack_ms=30_000
    ),
    "a clock that may be half a minute slow": case(
        clicked=clicked(at_ms=NOW_MS + 15_000), slack_ms=30_000
    ),
    "exactly ten seconds": case(clicked=clicked(at_ms=NOW_MS - 10_000)),
    "a slow download of six days": case(clicked=clicked(at_ms=NOW_MS - 6 * DAY_MS)),
    "an impression a second before": case(clicked=clicked(kind="impression", at_ms=NOW_MS - 1_000)),
    "a carrier's address that a thousand people share": case(
        clicked=clicked(ip="198.51.100.1"),
        asked=asked(ip="198.51.100.1"),
        identifier="fp:f",
        clicks_in_hour=1000,
    ),
    "a busy person's sixty clicks": case(clicks_in_hour=60),
    "a family's twenty devices": case(devices=20),
    "an address beside a listed network": case(asked(ip="203.0.114.1"), rules=LISTED),
    "a broken address": case(asked(ip="somewhere"), rules=LISTED),
    "a network where people live": case(asked(asn=3320)),
    "a purchase that the app's own servers tell of": case(asked(kind="event", asn=16509)),
    "a hosting provider that is not on the app's own list": case(
        asked(asn=16509), rules=FraudRules(actions=ALL.actions, data_centre_asns=(24940,))
    ),
    "an unknown country": case(asked(country="AT"), clicked(country=None)),
    "a purchase right after a click": case(asked(kind="event"), clicked(at_ms=NOW_MS - 1_000)),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_is_legitimate_is_left_alone(name: str) -> None:
    assert judge(HONEST[name]) == (None, [])


def decided(*touches: Touch, priors: dict[str, FoundPrior] | None = None) -> Decision:
    found = {one.touch_id: Found(one, one.identifiers) for one in touches}
    return decide(INSTALL, found, priors or {}, rules=Rules())


def clicks(*times_ms: int, kind: str = "click") -> list[Touch]:
    return [touch(f"{kind}{n}", at_ms, ["device:d"], kind=kind) for n, at_ms in enumerate(times_ms)]


@given(st.lists(st.integers(0, 12), max_size=60))
def test_the_fullest_hour_is_that_of_all_hours_that_contain_the_click(
    quarters: list[int],
) -> None:
    times_ms = [n * HOUR_MS // 4 for n in quarters]
    every_hour = {
        begin: [at for at in times_ms if begin <= at < begin + HOUR_MS]
        for begin in range(-HOUR_MS, 4 * HOUR_MS, HOUR_MS // 8)
    }
    assert fullest_hours(times_ms) == {
        at: max(len(one) for one in every_hour.values() if at in one) for at in times_ms
    }


def test_impressions_do_not_fill_an_hour() -> None:
    begin = NOW_MS - 2 * HOUR_MS
    seen = clicks(*range(begin, begin + 100), kind="impression")
    assert rejected(*clicks(begin), *seen) == set()


def rejected(*touches: Touch) -> set[str]:
    return {
        one.touch.touch_id
        for one in decided(*touches).candidates
        if one.verdict == "fraud:click_flooding"
    }


def test_forty_clicks_an_hour_for_hours_on_end_are_below_a_limit_of_sixty() -> None:
    steady = clicks(*(NOW_MS - n * HOUR_MS // 40 for n in range(200)))
    assert rejected(*steady) == set()


def test_all_clicks_of_a_too_full_hour_are_flooding_and_those_around_it_are_not() -> None:
    minute_ms = HOUR_MS // 60
    at_ms = NOW_MS - 5 * HOUR_MS
    burst = [at_ms + 20 * minute_ms + n for n in range(58)]
    flooded = [at_ms, *burst, at_ms + 40 * minute_ms, at_ms + 59 * minute_ms]
    around = [at_ms - 21 * minute_ms, at_ms + 81 * minute_ms]
    found = clicks(*flooded, *around)
    assert rejected(*found) == {one.touch_id for one in found[: len(flooded)]}


def behind_the_network(devices: int) -> list[Found]:
    """Clicks at one network of so many devices, two of each; one more of the install's own."""
    at_ms = NOW_MS - HOUR_MS
    strangers = [
        touch(f"{device}-{n}", at_ms, ["fp:f", f"cookie:{device}"])
        for device in range(devices - 1)
        for n in range(2)
    ]
    return [Found(CLICK, ["device:d", "fp:f"]), *(Found(one, ["fp:f"]) for one in strangers)]


@pytest.mark.parametrize(("devices", "flags"), [(20, []), (21, ["many_devices"])])
def test_an_install_behind_a_carriers_address_is_noted_and_keeps_its_click(
    devices: int, flags: list[str]
) -> None:
    found = {one.touch.touch_id: one for one in behind_the_network(devices)}
    decision = decide(INSTALL, found, {}, rules=Rules())
    assert decision.touch == CLICK
    assert [one.flags for one in decision.candidates] == [flags] * len(found)
    assert not any(one.verdict.startswith("fraud:") for one in decision.candidates)


def test_only_devices_within_the_window_are_many() -> None:
    found = {one.touch.touch_id: one for one in behind_the_network(30)}
    rules = Rules(click_probabilistic_window_ms=HOUR_MS - 1)
    assert {tuple(one.flags) for one in decide(INSTALL, found, {}, rules=rules).candidates} == {()}


def test_a_rejected_touch_loses_its_credit_to_the_next() -> None:
    honest = touch("2", NOW_MS - 2 * HOUR_MS, ["device:d"])
    decision = decided(clicked(bot=True), honest)
    assert decision.touch == honest
    assert {one.touch.touch_id: one.verdict for one in decision.candidates} == {
        "1": "fraud:bot",
        "2": "chosen",
    }


def test_a_shared_tablet_reinstalls_and_is_no_fraud() -> None:
    first = Prior(conversion_id="c0", kind="install", at_ms=NOW_MS - DAY_MS, touch=CLICK)
    priors = {"c0": FoundPrior(first, ["device:d", "click:1"])}
    assert decided(CLICK, priors=priors).method == "reinstall"


def test_a_click_that_another_device_has_used_gives_no_credit() -> None:
    other = Prior(conversion_id="c0", kind="install", at_ms=NOW_MS - DAY_MS)
    decision = decided(CLICK, priors={"c0": FoundPrior(other, ["click:1"])})
    assert decision.method == "organic"
    assert decision.candidates[0].verdict == "fraud:click_used_before"


def test_the_defaults_reject_what_is_certain_and_flag_what_is_a_hint() -> None:
    assert set(DEFAULT.fraud.actions) == set(FRAUD_RULES)
    hints = {name: action for name, action in DEFAULT.fraud.actions.items() if action != "reject"}
    assert hints == {"many_devices": "flag", "geo_mismatch": "flag"}
