from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream.core.reasons import Reason
from trackstream.core.timestamps import check_range, parse_timestamp

NOON_MS = 1_752_148_800_000


@pytest.mark.parametrize(
    "value",
    [
        "2025-07-10T12:00:00Z",
        "2025-07-10t12:00:00z",
        "2025-07-10 14:00:00.000+02:00",
        "2025-07-10T12:00:00.000000000Z",
        1_752_148_800,
        1_752_148_800.0,
        1_752_148_800_000,
        "1752148800",
        "1752148800.0",
        "1752148800000",
    ],
)
def test_every_form_of_one_moment_is_the_same(value: object) -> None:
    assert parse_timestamp(value) == NOON_MS


def test_a_leap_second_counts_as_the_second_before() -> None:
    assert parse_timestamp("2016-12-31T23:59:60Z") == 1_483_228_799_000


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2025-07-10T12:00:00", Reason.INVALID_VALUE),
        ("2025-07-10", Reason.INVALID_VALUE),
        ("2025-13-10T12:00:00Z", Reason.INVALID_VALUE),
        ("0000-01-01T00:00:00Z", Reason.INVALID_VALUE),
        ("٢٠٢٥-07-10T12:00:00Z", Reason.INVALID_VALUE),
        ("1.75e9", Reason.INVALID_VALUE),
        ("+1752148800", Reason.INVALID_VALUE),
        (" 1752148800", Reason.INVALID_VALUE),
        ("1752148800.", Reason.INVALID_VALUE),
        ("٢٠٢٥", Reason.INVALID_VALUE),
        ("9" * 15, Reason.TIMESTAMP_OUT_OF_RANGE),
        ("9" * 16, Reason.INVALID_VALUE),
        ("", Reason.INVALID_VALUE),
        (float("nan"), Reason.INVALID_VALUE),
        (float("inf"), Reason.INVALID_VALUE),
        (10**40, Reason.TIMESTAMP_OUT_OF_RANGE),
        (True, Reason.WRONG_TYPE),
        ([], Reason.WRONG_TYPE),
    ],
)
def test_what_is_no_timestamp_says_why(value: object, reason: Reason) -> None:
    assert parse_timestamp(value) is reason


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive
def test_isoformat_round_trips_to_the_millisecond(moment: datetime) -> None:
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    found = parse_timestamp(moment.isoformat())
    assert isinstance(found, int)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=found) == whole


@given(ms=st.integers(946_684_800_000, 4_102_444_800_000))
def test_seconds_with_a_fraction_keep_their_millisecond(ms: int) -> None:
    assert parse_timestamp(ms / 1000) == ms
    assert parse_timestamp(f"{ms // 1000}.{ms % 1000:03d}") == ms


def test_the_range_ends_a_day_ahead_and_at_the_year_2000() -> None:
    day_ms = 86_400_000
    assert check_range(NOON_MS + day_ms, received_at_ms=NOON_MS) is None
    assert check_range(NOON_MS + day_ms + 1, received_at_ms=NOON_MS) is Reason.TIMESTAMP_IN_FUTURE
    assert check_range(946_684_800_000, received_at_ms=NOON_MS) is None
    assert check_range(946_684_799_999, received_at_ms=NOON_MS) is Reason.TIMESTAMP_OUT_OF_RANGE
