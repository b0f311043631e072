"""How events are cut into partitions: few, whatever their days, and each day in one."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psycopg2
from hypothesis import given
from hypothesis import strategies as st

from tests.storage.records import DAY_MS, an_event
from tests.storage.warehoused import write
from trackstream.codec import encode
from trackstream.storage import retention
from trackstream.storage.views import refresh
from trackstream.storage.warehouse import days as limits
from trackstream.storage.warehouse import merging
from trackstream.storage.warehouse.batch import Message, batches
from trackstream.storage.warehouse.periods import EPOCH, coarse, day_of_name, of_day, wanted
from trackstream.storage.warehouse.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest

    from trackstream.storage.warehouse.periods import Period

NOW_MS = int(datetime.now(UTC).timestamp() * 1000)
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
DAYS = st.integers(FIRST_DAY, LAST_DAY) | st.integers(18_000, 22_000)
TODAYS = st.dates(date(2024, 1, 1), date(2034, 12, 31))


def reach(period: Period) -> tuple[int, int]:
    begin = FIRST_DAY if period.begin is None else period.begin
    return begin, LAST_DAY + 1 if period.end is None else period.end


@given(st.lists(st.tuples(DAYS, TODAYS), max_size=60))
def test_every_day_is_in_one_partition_whatever_was_there_on_which_day(
    asked: list[tuple[int, date]],
) -> None:
    there: dict[str, Period] = {}
    for day, today in asked:
        period = wanted(day, there, today)
        begin, end = reach(period)
        assert begin <= day < end
        there[period.name] = period
        assert wanted(day, there, date(2024, 1, 1)) == period
    bounds = sorted(map(reach, there.values()))
    assert all(end <= begin for (_, end), (begin, _) in pairwise(bounds))


def test_all_days_that_there_are_make_few_partitions() -> None:
    there: set[str] = set()
    today = date(2028, 2, 29)
    for day in range(FIRST_DAY, LAST_DAY + 1, 20):
        name = coarse(day).name
        there.add(name if name in there else wanted(day, (), today).name)
    whole_days = {of_day(day).name for day in range(21_000, 21_000 + 5 * 366)}
    assert len(there | whole_days) < 2_200


@given(DAYS)
def test_a_day_is_known_by_its_name(day: int) -> None:
    assert day_of_name(of_day(day).name) == day
    assert day_of_name(coarse(day).name) is None


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def parts(url: str) -> list[str]:
    found = query(url, "SELECT DISTINCT tableoid::regclass::text FROM fact_events ORDER BY 1")
    return [name for (name,) in found]


def write_on(url: str, today: date, days: Iterable[int], received_at: Callable[[int], int]) -> None:
    """Write an event of each of these days since 1970, on the day `today`."""
    with closing(Writer(url, "g", today=lambda: today)) as writer:
        epochs = {one: claim.epoch for one, claim in writer.claim([("t", 0)]).items()}
        messages = [
            Message("t", 0, n, encode(_event(n, day, received_at(n)))) for n, day in enumerate(days)
        ]
        for batch in batches(messages, version="1"):
            writer.write(batch, epochs)


def _event(number: int, day: int, received_at_ms: int) -> Any:
    at_ms = day * DAY_MS + DAY_MS // 2
    return an_event(
        f"{day}-{number}",
        timestamp_ms=at_ms,
        client_timestamp_ms=at_ms,
        received_at_ms=received_at_ms,
    )


def test_events_of_twenty_five_years_are_read_and_removed(migrated_url: str) -> None:
    days = [(date(2000, 1, 1) - EPOCH).days + n * 9_100 // 10_000 for n in range(10_000)]
    old_ms = NOW_MS - 50 * DAY_MS
    write_on(migrated_url, date(2028, 6, 1), days, lambda n: old_ms if n % 2 else NOW_MS)
    assert query(migrated_url, "SELECT count(*) FROM fact_events") == [(10_000,)]
    assert parts(migrated_url) == [f"fact_events_{year}" for year in range(2000, 2025)]
    refresh(migrated_url)
    assert query(migrated_url, "SELECT day::text, persons FROM daily_funnel") == [("2000-01-01", 1)]
    # The same again is nothing new, on whichever day of the year.
    write_on(migrated_url, date(2028, 6, 1), days[:500], lambda _: NOW_MS)
    assert query(migrated_url, "SELECT count(*) FROM fact_events") == [(10_000,)]

    before = {"events": datetime.now(UTC) - timedelta(days=30)}
    gone = list(retention.run(migrated_url, before))
    assert {one.action for one in gone} == {"deleted"}
    assert sum(one.rows for one in gone) == 5_000
    assert query(migrated_url, "SELECT count(*) FROM fact_events") == [(5_000,)]
    future = {"events": datetime.now(UTC) + timedelta(days=1)}
    assert {one.action for one in retention.run(migrated_url, future)} == {"dropped"}
    assert parts(migrated_url) == []


def test_a_year_that_has_days_gets_more_days_until_they_are_merged(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (date(2015, 12, 30) - EPOCH).days
    write_on(migrated_url, date(2015, 12, 31), [first, first + 1, first + 2], lambda _: NOW_MS)
    write_on(migrated_url, date(2028, 6, 1), [first - 9], lambda _: NOW_MS)
    cut = ["fact_events_20151221", *(f"fact_events_201512{n}" for n in (30, 31))]
    assert parts(migrated_url) == [*cut, "fact_events_20160101"]

    assert list(retention.run(migrated_url, {})) == []
    monkeypatch.setattr(limits, "MANY", 3)
    merged = [("fact_events_2015", 3, "merged")]
    for dry_run in (True, False):
        done = retention.run(migrated_url, {}, dry_run=dry_run)
        assert [(one.table, one.rows, one.action) for one in done] == merged
    assert parts(migrated_url) == ["fact_events_2015", "fact_events_20160101"]
    # What is there already is found in its new place, and new days go there.
    write_on(migrated_url, date(2028, 6, 1), [first, first - 99], lambda _: NOW_MS)
    assert query(migrated_url, "SELECT count(*) FROM fact_events") == [(5,)]
    assert parts(migrated_url) == ["fact_events_2015", "fact_events_20160101"]


def test_days_that_somebody_reads_are_merged_later(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MANY", 1)
    monkeypatch.setattr("trackstream.storage.warehouse.merging._TRIES", 2)
    write_on(migrated_url, date(2015, 12, 31), [16_700, 16_701], lambda _: NOW_MS)
    with closing(psycopg2.connect(migrated_url)) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM fact_events")
        assert [one.action for one in retention.run(migrated_url, {})] == ["busy"]
        write(migrated_url, an_event("meanwhile"))
    assert [one.action for one in retention.run(migrated_url, {})] == ["merged"]
    assert query(migrated_url, "SELECT count(*) FROM fact_events") == [(3,)]


def test_a_new_day_is_made_while_days_are_merged(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_on(migrated_url, date(2015, 12, 31), [16_700, 16_701], lambda _: NOW_MS)
    lock_all = merging._lock_all

    def write_and_lock(cursor: Any) -> None:
        write(migrated_url, an_event("today"))
        lock_all(cursor)

    monkeypatch.setattr(limits, "MANY", 1)
    monkeypatch.setattr(merging, "_lock_all", write_and_lock)
    assert [one.action for one in retention.run(migrated_url, {})] == ["merged"]
    assert parts(migrated_url) == ["fact_events_2015", "fact_events_20250710"]
    assert query(migrated_url, "SELECT count(*) FROM fact_events") == [(3,)]


def test_too_many_partitions_are_told(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "MANY", 1)
    write(migrated_url, an_event("a"))
    assert caplog.text == ""
    write(migrated_url, an_event("b", timestamp_ms=0), first_offset=1)
    assert "fact_events has 2 partitions: trackstream retention run merges old ones" in caplog.text
