"""An event whose corrected time moves over midnight is in the warehouse once."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.visiting import apply, envelope, page
from tests.storage.records import DAY_MS, an_event
from tests.storage.warehoused import write
from trackstream.core.rules import DEFAULT
from trackstream.storage.warehouse.moved import REACH_MS, other_days

if TYPE_CHECKING:
    from trackstream.core.records import Event

MIDNIGHT_MS = 20_279 * DAY_MS
HOUR_MS = 3_600_000
SECOND_MS = 1000


def events(url: str) -> list[tuple[str, str]]:
    """Ids and days, in order."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT event_id, event_day::text FROM fact_events ORDER BY 1, 2")
        return cursor.fetchall()


def an_event_at(
    at_ms: int, *, client_ms: int | None = None, received_ms: int | None = None
) -> Event:
    return an_event(
        timestamp_ms=at_ms,
        client_timestamp_ms=at_ms if client_ms is None else client_ms,
        received_at_ms=at_ms if received_ms is None else received_ms,
    )


def replayed(at_ms: int, *sent: tuple[int, int]) -> tuple[Event, Event]:
    """An event as it goes out, and as it does again after a crash, when more had been handled.

    Args:
        at_ms: Of the event, by the device's clock.
        sent: When requests of the device were sent, by its clock, and when each arrived: the first
            brings the event.
    """
    first, *rest = [
        envelope(page(number, at_ms), received_at_ms=received_ms, sent_at_ms=sent_ms)
        for number, (sent_ms, received_ms) in enumerate(sent)
    ]
    state, out = apply(None, first, 1)
    for offset, one in enumerate(rest, 2):
        state, _ = apply(state, one, offset)
    _, again = apply(state, first, 1)
    return out.events[0], again.events[0]


def test_a_replay_that_knows_the_clock_better_moves_an_event_but_adds_none(
    migrated_url: str,
) -> None:
    # The clock is ten minutes slow; the first request took 8 s, the second one second.
    slow_ms = MIDNIGHT_MS - 600 * SECOND_MS
    once, again = replayed(
        slow_ms - 2 * SECOND_MS,
        (slow_ms - SECOND_MS, MIDNIGHT_MS + 7 * SECOND_MS),
        (slow_ms + 60 * SECOND_MS, MIDNIGHT_MS + 61 * SECOND_MS),
    )
    assert once.event_id == again.event_id
    assert again.timestamp_ms < MIDNIGHT_MS <= once.timestamp_ms
    write(migrated_url, once)
    write(migrated_url, again)
    assert events(migrated_url) == [("e0", "2025-07-10")]


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (an_event_at(MIDNIGHT_MS + 1), an_event_at(MIDNIGHT_MS - 1)),
        (an_event_at(MIDNIGHT_MS - 1), an_event_at(MIDNIGHT_MS + 1)),
        (
            # Corrected by days when it came late, and not at all when it came again.
            an_event_at(MIDNIGHT_MS + 12 * HOUR_MS, client_ms=MIDNIGHT_MS - 5 * DAY_MS),
            an_event_at(MIDNIGHT_MS - 5 * DAY_MS, received_ms=MIDNIGHT_MS + 12 * HOUR_MS),
        ),
        (
            # Switched on without a clock, and taken for right when it had been set.
            an_event_at(MIDNIGHT_MS + 12 * HOUR_MS, client_ms=5 * SECOND_MS),
            an_event_at(5 * SECOND_MS, received_ms=MIDNIGHT_MS + 12 * HOUR_MS),
        ),
        (
            # Nothing was known of the clock, and then that it is five days slow.
            an_event_at(MIDNIGHT_MS - 5 * DAY_MS, received_ms=MIDNIGHT_MS + 12 * HOUR_MS),
            an_event_at(MIDNIGHT_MS + 12 * HOUR_MS, client_ms=MIDNIGHT_MS - 5 * DAY_MS),
        ),
    ],
)
def test_what_is_there_on_another_day_is_not_written_again(
    migrated_url: str, first: Event, second: Event, *, together: bool
) -> None:
    if together:
        write(migrated_url, first, second)
    else:
        write(migrated_url, first)
        write(migrated_url, second)
    [(_, day)] = events(migrated_url)
    write(migrated_url, an_event("e2", timestamp_ms=first.timestamp_ms))
    assert events(migrated_url) == [("e1", day), ("e2", day)]


def test_an_id_that_another_subject_has_on_another_day_takes_nothing_away(
    migrated_url: str,
) -> None:
    write(migrated_url, an_event_at(MIDNIGHT_MS + 1))
    other = an_event("e1", timestamp_ms=MIDNIGHT_MS - 1, subject="demo|device:d2")
    write(migrated_url, other)
    assert events(migrated_url) == [("e1", "2025-07-09"), ("e1", "2025-07-10")]


def test_other_events_and_other_apps_stay(migrated_url: str) -> None:
    late, early = MIDNIGHT_MS + 5, MIDNIGHT_MS - 5
    write(migrated_url, an_event_at(early), an_event("other", timestamp_ms=early))
    app = an_event("e1", timestamp_ms=late, app_id="another")
    write(migrated_url, app, an_event("third", timestamp_ms=late))
    assert [one for one, _ in events(migrated_url)] == ["e1", "e1", "other", "third"]


def test_what_was_there_already_changes_nothing_of_its_person(migrated_url: str) -> None:
    first = an_event_at(MIDNIGHT_MS - 1)
    write(migrated_url, first)
    write(migrated_url, an_event_at(MIDNIGHT_MS + 1))
    with closing(psycopg2.connect(migrated_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM last_seen_at) * 1000 FROM dim_users")
        assert cursor.fetchall() == [(first.timestamp_ms,)]


def test_days_of_years_that_no_calendar_has_are_not_looked_at(migrated_url: str) -> None:
    first, last = -719_162 * DAY_MS, 2_932_897 * DAY_MS - 1
    write(migrated_url, an_event("a", timestamp_ms=first), an_event("b", timestamp_ms=last))
    assert [day for _, day in events(migrated_url)] == ["0001-01-01", "9999-12-31"]


def test_an_event_of_the_day_on_which_it_arrived_is_looked_for_nowhere_else() -> None:
    noon = MIDNIGHT_MS + 12 * HOUR_MS
    assert other_days(an_event_at(noon)) == frozenset()
    assert other_days(an_event_at(MIDNIGHT_MS + REACH_MS)) == frozenset()
    assert other_days(an_event_at(MIDNIGHT_MS + REACH_MS - 1)) == {20_278}
    assert other_days(an_event_at(MIDNIGHT_MS - REACH_MS)) == {20_279}
    assert other_days(an_event_at(noon, received_ms=noon + 3 * DAY_MS)) == {20_282}
    assert other_days(an_event_at(noon, client_ms=noon - 40 * DAY_MS)) == {20_239}


_EARLIEST_MS, _LATEST_MS = MIDNIGHT_MS - 3 * HOUR_MS, MIDNIGHT_MS + 3 * HOUR_MS


@given(
    at_ms=st.integers(_EARLIEST_MS, _LATEST_MS),
    error_ms=st.integers(-400 * DAY_MS, 400 * DAY_MS) | st.integers(-70_000, 70_000),
    until_sent_ms=st.integers(0, 10 * 60_000),
    latencies_ms=st.lists(st.integers(0, 40 * 60_000), min_size=2, max_size=5),
)
def test_wherever_a_replay_puts_an_event_its_first_copy_is_found(
    at_ms: int, error_ms: int, until_sent_ms: int, latencies_ms: list[int]
) -> None:
    """For a clock whose error stays, and requests that take up to forty minutes."""
    sent_ms = at_ms + until_sent_ms
    once, again = replayed(
        at_ms - error_ms,
        *((sent_ms - error_ms + n, sent_ms + n + one) for n, one in enumerate(latencies_ms)),
    )
    assert DEFAULT.max_ahead_ms < REACH_MS
    day = once.timestamp_ms // DAY_MS
    assert day == again.timestamp_ms // DAY_MS or day in other_days(again)
