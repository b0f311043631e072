from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tests.core.postbacks.samples import AT_MS, CLICK_MS, a_candidate, a_touch, an_attribution
from trackstream.core.postbacks.destinations import Destination
from trackstream.core.postbacks.macros import MACROS, event_of, values_of, written
from trackstream.core.postbacks.samples import sample
from trackstream.core.records import Campaign, Earlier


def test_every_macro_of_the_contract_is_there() -> None:
    contract = (
        "click_id campaign_id campaign channel network ad_group creative sub_publisher gaid idfa "
        "idfv device_id user_id ip country install_time event_time click_time event revenue "
        "currency method match_type confidence rejection_reason conversion_id revision app_id"
    )
    times = {f"{t}_time_{unit}" for t in ("install", "event", "click") for unit in ("ms", "iso")}
    assert set(contract.split()) | times == MACROS
    assert values_of(an_attribution()).keys() == MACROS


def test_times_are_seconds_milliseconds_and_rfc_3339() -> None:
    values = values_of(an_attribution())
    assert values["install_time"] == values["event_time"] == AT_MS // 1000
    assert values["click_time_ms"] == CLICK_MS
    assert values["event_time_iso"] == "2025-07-10T12:00:00.123Z"


def test_an_event_knows_its_install_by_what_it_inherits() -> None:
    bought = an_attribution(
        kind="event",
        event="purchase",
        method="inherited",
        inherited_at_ms=AT_MS - 5000,
        revenue_micros=49_990_000,
        currency="EUR",
    )
    values = values_of(bought)
    assert values["install_time_ms"] == AT_MS - 5000
    assert values["event"] == "purchase"
    assert values["match_type"] is None
    assert (values["method"], written(values["revenue"])) == ("inherited", "49.99")
    assert values_of(an_attribution(kind="event", event="x"))["install_time"] is None


def test_the_time_of_the_install_is_not_that_of_a_reengagement() -> None:
    install, back = (
        Earlier(conversion_id=kind, kind=kind, at_ms=at_ms, identifiers=["device:d1"])
        for kind, at_ms in (("install", AT_MS - 9000), ("reengagement", AT_MS - 5000))
    )
    led_back = an_attribution(kind="reengagement", event="app_open", earlier=[install])
    assert values_of(led_back)["install_time_ms"] == AT_MS - 9000
    bought = an_attribution(
        kind="event",
        event="purchase",
        method="inherited",
        inherited_from="reengagement",
        inherited_at_ms=AT_MS - 5000,
        earlier=[back, install],
    )
    assert values_of(bought)["install_time_ms"] == AT_MS - 9000
    alone = msgspec.structs.replace(bought, earlier=[back])
    assert values_of(alone)["install_time"] is None


def test_the_own_identifiers_go_before_those_of_the_click() -> None:
    touch = a_touch(identifiers=["click:c1", "gaid:theirs", "idfa:only-theirs"])
    values = values_of(an_attribution(touch=touch, identifiers=["user:u:1", "gaid:own"]))
    assert values["gaid"] == "own"
    assert values["idfa"] == "only-theirs"
    assert values["user_id"] == "u:1"
    assert values["device_id"] is None


def test_a_campaigns_name_is_the_links_else_utm() -> None:
    touched = an_attribution(touch=a_touch(campaign=Campaign(utm_campaign="spring")))
    assert values_of(touched)["campaign"] == "spring"
    assert values_of(touched, campaign_name="Spring sale")["campaign"] == "Spring sale"


def test_a_rejection_is_told_where_nobody_got_the_credit() -> None:
    refused = a_candidate("outside_window")
    organic = an_attribution(touch=None, method="organic", candidates=[refused])
    assert values_of(organic)["rejection_reason"] == "outside_window"
    assert values_of(organic)["click_id"] is None
    assert values_of(an_attribution(candidates=[refused]))["rejection_reason"] is None
    fraud = an_attribution(touch=None, method="organic", candidates=[a_candidate("fraud:bot")])
    assert values_of(fraud)["rejection_reason"] == "bot"


@pytest.mark.parametrize("method", ["click_deterministic", "organic", "reinstall"])
def test_of_a_rejected_touch_nothing_is_told_that_is_not_its_own(method: str) -> None:
    refused = msgspec.structs.replace(
        a_candidate(
            "fraud:click_flooding",
            touch_id="t2",
            click_id="c2",
            network="other",
            campaign_id="cmp002",
            at_ms=CLICK_MS - 5000,
            identifiers=["click:c2", "idfa:theirs"],
        ),
        match_type="view_probabilistic",
        confidence=0.7,
    )
    decided = an_attribution(
        method=method, touch=None if method == "organic" else a_touch(), candidates=[refused]
    )
    values = values_of(decided, rejected=refused)
    assert (
        values
        | {
            "click_id": "c2",
            "network": "other",
            "campaign_id": "cmp002",
            "idfa": "theirs",
            "click_time_ms": CLICK_MS - 5000,
            "install_time_ms": AT_MS,
            "method": "rejected",
            "match_type": "view_probabilistic",
            "confidence": Decimal("0.7"),
            "rejection_reason": "click_flooding",
            "event": "reinstall" if method == "reinstall" else "install",
        }
        == values
    )


def test_a_reinstall_is_no_install() -> None:
    assert event_of(an_attribution()) == "install"
    assert event_of(an_attribution(method="reinstall")) == "reinstall"
    assert event_of(an_attribution(event="first_open")) == "install"
    assert event_of(an_attribution(kind="event", event="sign_up")) == "sign_up"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0, "0"), (Decimal("1E+3"), "1000"), (Decimal("0.000001"), "0.000001")],
)
def test_numbers_are_plain(value: int | Decimal | None, text: str) -> None:
    assert written(value) == text


def test_what_postgresql_cannot_hold_is_replaced() -> None:
    assert values_of(an_attribution(country="D\x00\ud800E"))["country"] == "D\ufffd\ufffdE"


def test_a_sample_speaks_with_nearly_every_macro() -> None:
    destination = Destination(destination_id="d", app_id="shop", name="n", url="https://a.example/")
    values = values_of(sample(destination, event="purchase", at_ms=AT_MS))
    silent = {name for name, value in values.items() if value is None}
    assert silent == {"campaign", "idfa", "idfv", "rejection_reason"}
