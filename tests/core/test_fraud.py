"""Fraud rules: each on its own case, and what only looks odd is left alone."""

from __future__ import annotations

import msgspec
import pytest

from tests.core.matching.world import conversion, touch
from trackstream.core.fraud import CHECKS, Case, judge
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
INSTALL = conversion("c", NOW_MS, ["click:1", "device:d"])
CLICK = touch("1", NOW_MS - HOUR_MS, ["click:1", "device:d"])
ALL = FraudRules(actions=dict.fromkeys(FRAUD_RULES, "reject"))


def case(
    asked: Conversion = INSTALL, clicked: Touch = CLICK, rules: FraudRules = ALL, **more: object
) -> Case:
    fields = {
        "identifier": "device:d",
        "neighbours": [clicked],
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
    "blocked_ip": case(asked(ip="::ffff:203.0.113.9"), rules=LISTED),
    "blocked_user_agent": case(clicked=clicked(user_agent="x headlessfarm/1"), rules=LISTED),
    "blocked_sub_publisher": case(clicked=clicked(sub_publisher="shady"), rules=LISTED),
    "click_flooding": case(
        neighbours=[touch(f"t{n}", CLICK.at_ms - n, ["device:d"]) for n in range(61)]
    ),
    "click_used_before": case(
        installs_of_click=[Prior(conversion_id="c0", kind="install", at_ms=1)]
    ),
    "flooding_source": case(
        clicked=clicked(campaign_id="summer", sub_publisher="flood"), rules=LISTED
    ),
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
        neighbours=[touch(f"t{n}", CLICK.at_ms - n, ["fp:f"]) for n in range(1000)],
    ),
    "a busy person's sixty clicks": case(
        neighbours=[touch(f"t{n}", CLICK.at_ms - n, ["device:d"]) for n in range(60)]
    ),
    "many clicks over days": case(
        neighbours=[touch(f"t{n}", CLICK.at_ms - n * HOUR_MS, ["device:d"]) for n in range(100)]
    ),
    "an address beside a listed network": case(asked(ip="203.0.114.1"), rules=LISTED),
    "a broken address": case(asked(ip="somewhere"), rules=LISTED),
    "an unknown country": case(asked(country="AT"), clicked(country=None)),
    "a purchase right after a click": case(asked(kind="event"), clicked(at_ms=NOW_MS - 1_000)),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_is_legitimate_is_left_alone(name: str) -> None:
    assert judge(HONEST[name]) == (None, [])


def decided(*touches: Touch, priors: dict[str, FoundPrior] | None = None) -> Decision:
    found = {one.touch_id: Found(one, one.identifiers) for one in touches}
    return decide(INSTALL, found, priors or {}, rules=Rules())


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
    assert {name for name, action in DEFAULT.fraud.actions.items() if action != "reject"} == {
        "geo_mismatch"
    }
    assert DEFAULT.fraud.actions["geo_mismatch"] == "flag"
