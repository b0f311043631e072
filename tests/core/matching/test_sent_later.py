"""When an install is sent says nothing of when it was: no fraud waits until it counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.matching.world import touch
from trackstream.core.clocks import latest_at_ms
from trackstream.core.lookups import Place, UserAgent
from trackstream.core.matching.candidates import Found
from trackstream.core.matching.decide import decide
from trackstream.core.matching.horizon import horizon_ms
from trackstream.core.records import Conversion, Envelope, Event, RawEvent, Referral
from trackstream.core.rules import DAY_MS, DEFAULT
from trackstream.core.visits import visit

T_MS = 1_750_000_000_123
"""When the app was opened, by a right clock."""
AT_ONCE_MS = 0


def sent(
    kept_ms: int,
    *,
    slow_ms: int = 0,
    latency_ms: int = 200,
    says: bool = True,
    began_ms: int | None = None,
    by_servers: bool = False,
) -> Conversion:
    """An install at `T_MS` as it is known; the store began so much before, in whole seconds."""
    begin_at_ms = None
    if began_ms is not None:
        begin_at_ms = (T_MS - began_ms - (0 if by_servers else slow_ms)) // 1000 * 1000
    raw = RawEvent(
        event_id="e",
        event="install",
        timestamp_ms=T_MS - slow_ms,
        device_id="d",
        referral=Referral(install_begin_at_ms=begin_at_ms, server_times=by_servers),
    )
    envelope = Envelope(
        app_id="app",
        subject="app|device:d",
        received_at_ms=T_MS + kept_ms + latency_ms,
        sent_at_ms=T_MS + kept_ms - slow_ms if says else None,
        events=[raw],
    )
    _, out = visit(None, envelope, offset=0, place=Place(), user_agent=UserAgent(), rules=DEFAULT)
    return out.probes[0].conversion


def verdict(conversion: Conversion, clicked_ms: int) -> str:
    """On a click so much before the app was opened."""
    click = touch("t", T_MS - clicked_ms, ["device:d"])
    found = {"t": Found(click, ["device:d"])}
    return decide(conversion, found, {}, rules=DEFAULT).candidates[0].verdict


@pytest.mark.parametrize("kept_ms", [AT_ONCE_MS, 15_000, 120_000, DAY_MS])
def test_a_click_after_the_download_began_is_injected_however_late_it_is_told(kept_ms: int) -> None:
    assert verdict(sent(kept_ms, began_ms=90_000), 50_000) == "fraud:click_after_install_began"
    assert verdict(sent(kept_ms), 2_000) == "fraud:click_to_install_too_short"
    assert verdict(sent(kept_ms), -5_000) == "after_conversion"


waits = st.sampled_from([AT_ONCE_MS, 1_000, 31_000, 600_000, DAY_MS]) | st.integers(0, DAY_MS)


@given(
    first_ms=waits,
    second_ms=waits,
    slow_ms=st.integers(-59_000, 59_000),
    latency_ms=st.integers(0, 999),
    clicked_ms=st.integers(-90_000, 180_000),
    began_ms=st.none() | st.integers(0, 180_000),
    by_servers=st.booleans(),
)
def test_the_moment_of_sending_changes_no_verdict(
    first_ms: int, second_ms: int, *, clicked_ms: int, **how: object
) -> None:
    first, second = (
        verdict(sent(kept_ms, **how), clicked_ms)  # type: ignore[arg-type] # drawn above
        for kept_ms in (first_ms, second_ms)
    )
    assert first == second


@given(
    kept_ms=waits,
    slow_ms=st.integers(-59_000, 59_000),
    latency_ms=st.integers(0, 999),
    whole=st.booleans(),
    clicked_ms=st.integers(10_000, 180_000),
    share=st.none() | st.floats(0, 1),
    by_servers=st.booleans(),
)
def test_a_slow_clock_is_honest_however_late_it_is_told(
    kept_ms: int, slow_ms: int, latency_ms: int, clicked_ms: int, **how: object
) -> None:
    share = how["share"]
    began_ms = None if share is None else int(clicked_ms * share)  # type: ignore[operator] # drawn
    install = sent(
        kept_ms,
        slow_ms=slow_ms // 1000 * 1000 + T_MS % 1000 if how["whole"] else slow_ms,
        latency_ms=latency_ms,
        began_ms=began_ms,
        by_servers=bool(how["by_servers"]),
    )
    assert verdict(install, clicked_ms) == "chosen"


def test_the_servers_times_need_no_allowance_for_a_slow_clock() -> None:
    by_servers, by_device = (
        sent(60_000, slow_ms=40_000, began_ms=60_000, says=False, by_servers=known)
        for known in (True, False)
    )
    assert verdict(by_servers, 50_000) == "fraud:click_after_install_began"
    assert verdict(by_device, 50_000) == "chosen"
    assert verdict(by_servers, 60_000) == "chosen"


def test_without_the_moment_of_sending_it_is_only_known_that_it_was_before_its_arrival() -> None:
    assert sent(15_000, says=False).latest_at_ms == T_MS + 15_200
    assert sent(15_000).latest_at_ms == T_MS + 200
    assert verdict(sent(15_000, says=False), 2_000) == "chosen"


@given(
    at_ms=st.integers(0, 10**6),
    told_ms=st.integers(0, 10**6),
    sent_ms=st.none() | st.integers(0, 10**6),
    arrived_ms=st.integers(0, 10**6),
)
def test_the_latest_moment_is_between_the_events_time_and_its_arrival(
    at_ms: int, told_ms: int, sent_ms: int | None, arrived_ms: int
) -> None:
    event = Event(
        event_id="e",
        app_id="app",
        event="install",
        timestamp_ms=at_ms,
        client_timestamp_ms=told_ms,
        received_at_ms=arrived_ms,
        person="p",
        subject="s",
        session_id="",
    )
    assert at_ms <= latest_at_ms(event, sent_ms) <= max(at_ms, arrived_ms)


def test_the_tolerance_is_the_most_that_a_clock_may_be_behind() -> None:
    install = sent(DAY_MS, says=False)
    assert horizon_ms(install, DEFAULT) == T_MS + DEFAULT.clock_tolerance_ms
