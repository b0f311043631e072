"""Identifiers, subject, person, fingerprints, money, and the closed list of reasons."""

from __future__ import annotations

from decimal import Decimal
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream.core.identifiers import (
    advertising_id,
    event_identifiers,
    fingerprint,
    is_probabilistic,
    person_of,
    subject_of,
)
from trackstream.core.money import micros, revenue
from trackstream.core.reasons import HTTP_STATUS, Reason
from trackstream.core.records import RawEvent, Referral


def test_every_reason_has_a_status_of_refusal() -> None:
    assert set(HTTP_STATUS) == set(Reason)
    assert all(400 <= status < 600 for status in HTTP_STATUS.values())


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("38400000-8CF0-11BD-B23E-10B96E40000D", "38400000-8cf0-11bd-b23e-10b96e40000d"),
        ("00000000-0000-0000-0000-000000000000", None),
        ("  ", None),
        ("", None),
        (None, None),
        ("NULL", None),
        ("9774d56d682e549c", None),
    ],
)
def test_ids_that_identify_nobody_are_no_ids(value: str | None, kept: str | None) -> None:
    assert advertising_id(value) == kept


def test_a_subject_is_the_device_then_the_cookie_then_the_user() -> None:
    assert subject_of("a", device_id="d", cookie_id="c", user_id="u") == "a|device:d"
    assert subject_of("a", device_id=None, cookie_id="c", user_id="u") == "a|cookie:c"
    assert subject_of("a", device_id=None, cookie_id=None, user_id="u") == "a|user:u"
    assert subject_of("a", device_id="", cookie_id=None, user_id=None) is None


def test_a_person_is_the_user_then_the_device_then_the_cookie_then_the_subject() -> None:
    assert person_of(user_id="u", device_id="d", cookie_id="c", subject="s") == "user:u"
    assert person_of(user_id=None, device_id="d", cookie_id="c", subject="s") == "device:d"
    assert person_of(user_id=None, device_id=None, cookie_id="c", subject="s") == "cookie:c"
    assert person_of(user_id=None, device_id=None, cookie_id=None, subject="a|user:u") == "user:u"


def test_an_event_names_its_identifiers_preferred_first_and_each_once() -> None:
    event = RawEvent(
        event_id="e",
        event="install",
        timestamp_ms=0,
        user_id="u",
        device_id="d",
        cookie_id="c",
        idfa="00000000-0000-0000-0000-000000000000",
        gaid="G",
        referral=Referral(click_id="k"),
    )
    assert event_identifiers(event) == ["click:k", "user:u", "device:d", "gaid:g", "cookie:c"]


def test_a_fingerprint_is_the_networks_and_the_operating_systems() -> None:
    here = fingerprint("192.0.2.7", "Android")
    assert here
    assert is_probabilistic(here)
    assert (
        here == fingerprint("192.0.2.200", "android") == fingerprint("::ffff:192.0.2.1", "ANDROID")
    )
    assert here != fingerprint("192.0.3.7", "Android")
    assert here != fingerprint("192.0.2.7", "iOS")
    assert fingerprint("2001:db8::1", "iOS") == fingerprint("2001:db8::ffff", "iOS")
    assert fingerprint("2001:db8::1", "iOS") != fingerprint("2001:db8:0:1::1", "iOS")


@pytest.mark.parametrize(("ip", "os_name"), [(None, "iOS"), ("192.0.2.1", None), ("house", "iOS")])
def test_without_address_or_system_there_is_no_fingerprint(
    ip: str | None, os_name: str | None
) -> None:
    assert fingerprint(ip, os_name) is None


@given(st.decimals(-(10**9), 10**9, places=6))
def test_money_is_exact_in_every_form(amount: Decimal) -> None:
    assert micros(str(amount)) == micros(amount) == int(amount * 1_000_000)


_NO_AMOUNTS: list[object] = [
    *(True, None, "", "ten", "NaN", "sNaN", "inf", 1e300, [], {}, float("nan"), float("-inf")),
    *("1_000", "1,000.50", "1.2.3", "\u0663", "\uff11", "0x10", "1\n", "e5", ".", "+", "--1"),
    *("1e400000", "1e999999", "-1e999999", "1e99999999999999999999", "0e99999", "1e12"),
    *(10**12, -(10**12), 10**400, 10**5000, "9" * 65, "0." + "1" * 63, "999999999999.9999999"),
    *(Decimal("1e999999"), Decimal("NaN"), Decimal(10) ** 12),
]


@pytest.mark.parametrize("value", _NO_AMOUNTS, ids=lambda value: str(type(value).__name__))
def test_what_is_no_amount_is_none(value: object) -> None:
    assert micros(value) is None


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (" 49.99 ", 49_990_000),
        ("+1.", 1_000_000),
        (".5", 500_000),
        ("1e3", 1_000_000_000),
        ("1E-3", 1_000),
        (5e-324, 0),
        ("1e-9999", 0),
        ("0.0000005", 0),
        ("0.0000015", 2),
        ("0.00000050000000000000000000000000000001", 1),
        ("-999999999999.999999", -(10**18 - 1)),
        (10**12 - 1, 10**18 - 10**6),
        (Decimal("49.990000"), 49_990_000),
    ],
)
def test_an_amount_is_read_as_it_is_written(value: object, amount: int) -> None:
    assert micros(value) == amount


def test_what_an_amount_costs_to_read_does_not_grow_with_its_exponent() -> None:
    began = process_time()
    for _ in range(100):
        micros("1e400000")
    assert process_time() - began < 1  # one took seconds


@given(st.text() | st.integers() | st.floats() | st.decimals())
def test_no_value_whatever_keeps_an_amount_from_being_read(value: object) -> None:
    found = micros(value)
    assert found is None or abs(found) < 10**18


def test_revenue_is_the_first_of_its_names() -> None:
    stated = '{"revenue": 49.99, "total": 60, "currency": "eur"}'
    assert revenue("purchase", stated)[:2] == (49_990_000, "EUR")
    assert revenue("purchase", '{"total": "60", "currency": 7}')[:2] == (60_000_000, None)
    assert revenue("purchase", '{"price": 5}')[:2] == (None, None)
    for nothing in ("{}", "[]", "broken"):
        assert revenue("purchase", nothing)[:2] == (None, None)
    assert revenue("purchase", '{"revenue": true, "total": null, "value": 2}')[:2] == (
        2_000_000,
        None,
    )


@pytest.mark.parametrize(
    ("event", "sign", "names"),
    [
        ("purchase", 1, {"revenue", "total", "value"}),
        ("Order Completed", 1, {"revenue", "total", "value"}),
        ("subscribe", 1, {"revenue"}),
        ("Product Viewed", 1, {"revenue"}),
        ("Checkout Started", 1, set()),
        ("Order Updated", 1, set()),
        ("Order Cancelled", 1, set()),
        ("refund", -1, {"revenue", "total", "value"}),
        ("Order Refunded", -1, {"revenue", "total", "value"}),
    ],
)
def test_what_an_amount_means_depends_on_the_event(event: str, sign: int, names: set[str]) -> None:
    for name in ("revenue", "total", "value"):
        amount = (sign * 2_000_000, None)
        assert revenue(event, f'{{"{name}": 2}}')[:2] == (amount if name in names else (None, None))
        assert revenue(event, f'{{"{name}": 2}}', declared=True)[:2] == amount
    assert revenue(event, '{"total": -2}', declared=True)[:2] == (-2_000_000, None)


@pytest.mark.parametrize(
    ("code", "known"),
    [("usd", "USD"), ("ßßß", None), ("ŉŉŉ", None), ("EURO", None), ("E R", None), ("ÄÖÜ", None)],
)
def test_a_currency_is_three_letters_of_ascii(code: str, known: str | None) -> None:
    assert revenue("purchase", f'{{"revenue": 5, "currency": "{code}"}}')[:2] == (5_000_000, known)
