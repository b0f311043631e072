"""What is in the materialised views, exactly, on a few rows; and who refreshes them when."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from click.testing import CliRunner
from sqlalchemy import text

from tests.storage.records import AT_MS, DAY_MS, a_session, a_touch, an_attribution, an_event
from tests.storage.warehoused import write
from tests.waiting import PATIENCE_S
from trackstream.cli import main
from trackstream.core.records import Campaign, Credit, PersonLink
from trackstream.storage import views
from trackstream.storage.errors import StorageError, StorageUnavailableError
from trackstream.storage.views import refresh, refresh_in_turn

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

DAY = date(2025, 7, 10)
NEXT = DAY + timedelta(days=1)


def rows(engine: Engine, view: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT * FROM {view}")).all()
    return sorted(tuple(row) for row in found)


def test_campaigns_by_day(engine: Engine, migrated_url: str) -> None:
    other = a_touch("t2", campaign_id="winter")
    organic: dict[str, Any] = {"touch": None, "method": "organic"}
    buy: dict[str, Any] = {"kind": "event", "event": "purchase"}
    write(
        migrated_url,
        an_attribution("i1"),
        an_attribution("i2", 1, touch=other),
        an_attribution("i2", 2),
        an_attribution("i3", at_ms=AT_MS + DAY_MS),
        an_attribution("again", method="reinstall"),
        an_attribution("won", reattribution=True),
        an_attribution("p1", **buy, revenue_micros=10_500_000, currency="EUR"),
        an_attribution("p2", **buy, revenue_micros=1, currency="EUR"),
        an_attribution("p3", **buy, revenue_micros=3_000_000, currency="USD"),
        an_attribution("o", **organic, **buy),
        an_attribution("elsewhere", app_id="other"),
        a_session("s1", campaign=Campaign(campaign_id="cmp001")),
        a_session("s2", campaign=Campaign(campaign_id="only-visits")),
        a_session("s3", campaign=Campaign(campaign_id="cmp001"), status="merged"),
        a_session("s4", campaign=Campaign(campaign_id="cmp001"), bot=True),
    )
    refresh(migrated_url)
    assert rows(engine, "campaign_days") == [
        ("demo", "", DAY, 0, 0, 0, 1, {}),
        ("demo", "cmp001", DAY, 1, 2, 2, 3, {"EUR": 10.500001, "USD": 3}),
        ("demo", "cmp001", NEXT, 0, 1, 0, 0, {}),
        ("demo", "only-visits", DAY, 1, 0, 0, 0, {}),
        ("other", "cmp001", DAY, 0, 1, 0, 0, {}),
    ]


def test_a_session_without_a_campaigns_id_is_of_its_utm_campaign(
    engine: Engine, migrated_url: str
) -> None:
    spring = Campaign(utm_source="newsletter", utm_campaign="spring")
    both = Campaign(campaign_id="cmp001", utm_campaign="spring")
    write(
        migrated_url,
        a_session("s1", campaign=spring),
        a_session("s2", campaign=both),
        a_session("s3", campaign=Campaign(utm_source="newsletter")),
        *(an_event(str(n), campaign=one) for n, one in enumerate((spring, both))),
    )
    refresh(migrated_url)
    assert rows(engine, "campaign_days") == [
        ("demo", name, DAY, 1, 0, 0, 0, {}) for name in ("", "cmp001", "spring")
    ]
    assert [row[1] for row in rows(engine, "dim_campaigns")] == ["cmp001", "spring"]


def test_credits_by_day(engine: Engine, migrated_url: str) -> None:
    def credit(model: str, touch_id: str, campaign: str, share: int, revenue: int | None) -> Credit:
        return Credit(
            model=model,
            touch_id=touch_id,
            campaign_id=campaign,
            share_millionths=share,
            revenue_micros=revenue,
        )

    bought = [
        credit("last", "t1", "a", 1_000_000, 9_000_000),
        credit("linear", "t1", "a", 333_333, 3_000_000),
        credit("linear", "t2", "a", 333_333, 3_000_000),
        credit("linear", "t3", "b", 333_334, 3_000_000),
    ]
    installed = [credit("linear", "t1", "b", 1_000_000, None)]
    write(
        migrated_url,
        an_attribution("v1", credits=bought, revenue_micros=9_000_000, currency="EUR"),
        an_attribution("v2", credits=installed),
        an_attribution("v3", 1, credits=installed),
        an_attribution("v3", 2, at_ms=AT_MS + DAY_MS, credits=installed),
    )
    refresh(migrated_url)
    assert rows(engine, "campaign_credit_days") == [
        ("demo", "last", "a", DAY, "EUR", 1, 9),
        ("demo", "linear", "a", DAY, "EUR", Decimal("0.666666"), 6),
        ("demo", "linear", "b", DAY, "", 1, 0),
        ("demo", "linear", "b", DAY, "EUR", Decimal("0.333334"), 3),
        ("demo", "linear", "b", NEXT, "", 1, 0),
    ]


def test_sign_ups_and_purchases_of_those_first_seen_on_a_day(
    engine: Engine, migrated_url: str
) -> None:
    number = iter(range(1000))

    def does(person: str, event: str, day: int, **other: Any) -> Any:
        at_ms = AT_MS + day * DAY_MS
        return an_event(f"e{next(number)}", person=person, event=event, timestamp_ms=at_ms, **other)

    write(
        migrated_url,
        *(does("user:all", event, day) for day, event in enumerate(("page", "sign_up"))),
        does("user:all", "purchase", 3),
        does("user:signed", "sign_up", 0),
        does("user:no-sign-up", "purchase", 0),
        does("user:before", "purchase", 0),
        does("user:before", "sign_up", 1),
        does("user:robot", "page", 0, bot=True),
        does("user:late", "page", 1),
        # Two keys of one person.
        does("device:d9", "sign_up", 0),
        does("user:u9", "purchase", 1),
        PersonLink(
            app_id="demo", kind="identified", identifier="device:d9", other="user:u9", at_ms=AT_MS
        ),
    )
    refresh(migrated_url)
    assert rows(engine, "daily_funnel") == [("demo", DAY, 5, 4, 2), ("demo", NEXT, 1, 0, 0)]


def test_retention_by_day_of_install(engine: Engine, migrated_url: str) -> None:
    events = [("a", 0), ("a", 1), ("a", 7), ("b", 0), ("b", 7), ("b", 400), ("c", 2), ("x", 1)]
    write(
        migrated_url,
        an_attribution("a", person="a"),
        an_attribution("a2", person="a", at_ms=AT_MS + DAY_MS),
        an_attribution("b", person="b"),
        an_attribution("silent", person="silent"),
        an_attribution("c", person="c", at_ms=AT_MS + DAY_MS),
        an_attribution("x", person="x", method="reinstall"),
        *(
            an_event(f"{who}{day}{n}", person=who, timestamp_ms=AT_MS + day * DAY_MS + n)
            for who, day in events
            for n in range(2)
        ),
        an_event("early", person="a", timestamp_ms=AT_MS - DAY_MS),
    )
    refresh(migrated_url)
    assert rows(engine, "retention_cohorts") == [
        ("demo", DAY, 0, 3, 2),
        ("demo", DAY, 1, 3, 1),
        ("demo", DAY, 7, 3, 2),
        ("demo", NEXT, 1, 1, 1),
    ]


def test_what_came_since_is_there_after_the_next_refresh(
    engine: Engine, migrated_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRACKSTREAM_POSTGRES_URL", migrated_url)
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path))
    for number in range(2):
        write(migrated_url, an_event(f"e{number}", person=f"p{number}"), first_offset=number)
        result = CliRunner().invoke(main, ["views", "refresh"])
        assert result.exit_code == 0, result.output
        assert all(view in result.output for view in views.VIEWS)
        assert rows(engine, "daily_funnel") == [("demo", DAY, number + 1, 0, 0)]


def test_a_reader_does_not_keep_a_refresh_waiting(engine: Engine, migrated_url: str) -> None:
    refresh(migrated_url)
    with closing(psycopg2.connect(migrated_url)) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT * FROM daily_funnel")
        write(migrated_url, an_event())
        refresh(migrated_url)
    assert rows(engine, "daily_funnel") == [("demo", DAY, 1, 0, 0)]


def _populated(engine: Engine) -> bool:
    with engine.connect() as connection:
        query = text("SELECT bool_and(ispopulated) FROM pg_matviews")
        return bool(connection.execute(query).scalar())


async def _until_populated(engine: Engine) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(_populated, engine):  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(0.05)


async def test_of_several_timers_one_refreshes_and_the_next_takes_over(
    engine: Engine, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "_FIRST_AFTER_S", 0)
    first, second = asyncio.Event(), asyncio.Event()
    one = asyncio.create_task(refresh_in_turn(migrated_url, every_s=0.05, stop=first))
    await _until_populated(engine)
    two = asyncio.create_task(refresh_in_turn(migrated_url, every_s=0.05, stop=second))
    await asyncio.sleep(0.2)
    with engine.connect() as connection:
        held = text(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        assert connection.execute(held).scalar() == 1
    first.set()
    await asyncio.wait_for(one, PATIENCE_S)
    await asyncio.to_thread(write, migrated_url, an_event())
    async with asyncio.timeout(PATIENCE_S):
        while await asyncio.to_thread(rows, engine, "daily_funnel") == []:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.05)
    second.set()
    await asyncio.wait_for(two, PATIENCE_S)


async def test_a_stop_cancels_a_refresh_that_waits(engine: Engine, migrated_url: str) -> None:
    with closing(psycopg2.connect(migrated_url)) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE attributions IN ACCESS EXCLUSIVE MODE")
        stop = asyncio.Event()
        task = asyncio.create_task(refresh_in_turn(migrated_url, every_s=0.05, stop=stop))
        await asyncio.sleep(0.5)
        stop.set()
        await asyncio.wait_for(task, PATIENCE_S)
    assert not _populated(engine)


async def test_a_timer_outlives_what_goes_wrong(
    engine: Engine, migrated_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    stop = asyncio.Event()
    with engine.begin() as connection:
        connection.execute(text("ALTER MATERIALIZED VIEW daily_funnel RENAME TO away"))
    task = asyncio.create_task(refresh_in_turn(migrated_url, every_s=0.05, stop=stop))
    async with asyncio.timeout(PATIENCE_S):
        while "not refreshed" not in caplog.text:  # noqa: ASYNC110 - logged in another task
            await asyncio.sleep(0.02)
    with engine.begin() as connection:
        connection.execute(text("ALTER MATERIALIZED VIEW away RENAME TO daily_funnel"))
    await _until_populated(engine)
    stop.set()
    await asyncio.wait_for(task, PATIENCE_S)


def test_who_must_act_is_told(database_url: str) -> None:
    with pytest.raises(StorageUnavailableError):
        refresh("postgresql://u@127.0.0.1:1/d")
    with pytest.raises(StorageError, match="campaign_days"):
        refresh(database_url)
