from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream.core.postbacks.outcomes import (
    DEFAULT,
    Outcome,
    RetryPolicy,
    delay_ms,
    judged,
    settled,
)

NOW_MS = 1_752_148_800_000  # Thu, 10 Jul 2025 12:00:00 GMT
UNITS = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, "delivered"),
        (204, "delivered"),
        (301, "refused"),
        (302, "refused"),
        (400, "refused"),
        (404, "refused"),
        (408, "retry"),
        (410, "refused"),
        (425, "retry"),
        (429, "retry"),
        (500, "retry"),
        (503, "retry"),
        (599, "retry"),
    ],
)
def test_what_a_status_means(status: int, kind: str) -> None:
    assert judged(status, retry_after=None, now_ms=NOW_MS).kind == kind


@pytest.mark.parametrize(
    ("header", "wait_ms"),
    [
        ("120", 120_000),
        (" 0 ", 0),
        ("Thu, 10 Jul 2025 12:00:30 GMT", 30_000),
        ("Thu, 10 Jul 2025 11:00:00 GMT", 0),
        ("Thu, 10 Jul 2025 12:00:30 -0000", 30_000),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("9" * 40, None),
        ("Thu, 99 Jul 2025 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, wait_ms: int | None) -> None:
    assert judged(429, retry_after=header, now_ms=NOW_MS).retry_after_ms == wait_ms


@given(st.text(max_size=40))
def test_any_retry_after_is_read_or_left(header: str) -> None:
    wait_ms = judged(503, retry_after=header, now_ms=NOW_MS).retry_after_ms
    assert wait_ms is None or wait_ms >= 0


@given(tries=st.integers(1, 1000), unit=UNITS)
def test_a_delay_is_anywhere_below_a_bound_that_doubles(tries: int, unit: float) -> None:
    bound_ms = min(DEFAULT.cap_ms, DEFAULT.base_ms * 2 ** (tries - 1))
    assert 0 <= delay_ms(tries, unit=unit) <= bound_ms
    assert delay_ms(tries, unit=0.5) == bound_ms // 2


@given(unit=UNITS, tries=st.integers(1, 30), age_ms=st.integers(0, 2 * DEFAULT.max_age_ms))
def test_a_retry_is_within_the_age_and_the_tries(unit: float, tries: int, age_ms: int) -> None:
    outcome = Outcome(kind="retry", reason="HTTP 503", retry_after_ms=60_000)
    after = settled(
        outcome,
        tries=tries,
        queued_at_ms=NOW_MS - age_ms,
        now_ms=NOW_MS,
        unit=unit,
        on_uncertain="skip",
    )
    if after.state == "due":
        assert tries < DEFAULT.max_tries
        assert after.due_at_ms is not None
        assert after.due_at_ms >= NOW_MS + 60_000
        assert after.due_at_ms <= NOW_MS - age_ms + DEFAULT.max_age_ms
    else:
        assert after.state == "dead"
        assert "given up" in after.reason
        assert tries >= DEFAULT.max_tries or age_ms + 60_000 + 2 * DEFAULT.cap_ms > (
            DEFAULT.max_age_ms
        )


@pytest.mark.parametrize(
    ("kind", "on_uncertain", "state"),
    [
        ("delivered", "skip", "sent"),
        ("refused", "resend", "dead"),
        ("retry", "skip", "due"),
        ("uncertain", "skip", "unknown"),
        ("uncertain", "resend", "due"),
    ],
)
def test_what_follows_from_an_outcome(kind: str, on_uncertain: str, state: str) -> None:
    after = settled(
        Outcome(kind=kind, reason="why"),
        tries=1,
        queued_at_ms=NOW_MS,
        now_ms=NOW_MS,
        unit=0.5,
        on_uncertain=on_uncertain,
        policy=RetryPolicy(base_ms=100),
    )
    assert (after.state, after.reason) == (state, "why")
    assert after.due_at_ms == (NOW_MS + 50 if state == "due" else None)
