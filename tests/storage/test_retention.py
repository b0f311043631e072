"""What is removed, what stays, and what a writer in the midst of it sees."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from click.testing import CliRunner
from sqlalchemy import text

from tests.storage.records import AT_MS, DAY_MS, a_rejected, a_session, an_attribution, an_event
from tests.storage.warehoused import write
from tests.waiting import PATIENCE_S
from trackstream.cli import main
from trackstream.codec import encode
from trackstream.core.records import Credit
from trackstream.settings import Settings
from trackstream.storage import retention
from trackstream.storage.errors import StorageUnavailableError
from trackstream.storage.warehouse.batch import Message, batches
from trackstream.storage.warehouse.writer import Writer

if TYPE_CHECKING:
    from sqlalchemy import Engine

NOW = datetime.now(UTC)
NOW_MS = int(NOW.timestamp() * 1000)
LONG_AGO_MS = NOW_MS - 100 * DAY_MS
BEFORE = NOW - timedelta(days=30)
ALL = dict.fromkeys(retention.KINDS, BEFORE)


def run(url: str, **options: Any) -> list[tuple[str, int, str]]:
    return [(one.table, one.rows, one.action) for one in retention.run(url, ALL, **options)]


def column(engine: Engine, query: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text(query)).scalars())


def test_events_go_by_their_arrival_whole_days_at_once(engine: Engine, migrated_url: str) -> None:
    mixed_ms = AT_MS - DAY_MS
    write(
        migrated_url,
        an_event("old", received_at_ms=LONG_AGO_MS),
        an_event("old2", received_at_ms=LONG_AGO_MS, app_id="other"),
        an_event("mixed-old", timestamp_ms=mixed_ms, received_at_ms=LONG_AGO_MS),
        an_event("mixed-new", timestamp_ms=mixed_ms, received_at_ms=NOW_MS),
        # Of 2015, imported today.
        an_event("import", timestamp_ms=1_431_864_000_000, received_at_ms=NOW_MS),
    )
    gone = [("fact_events_20250709", 1, "deleted"), ("fact_events_20250710", 2, "dropped")]
    assert run(migrated_url, dry_run=True) == gone
    assert len(column(engine, "SELECT event_id FROM fact_events")) == 5
    assert run(migrated_url) == gone
    assert column(engine, "SELECT event_id FROM fact_events ORDER BY 1") == ["import", "mixed-new"]
    assert column(engine, "SELECT to_regclass('fact_events_20250710')") == [None]
    assert run(migrated_url) == []


def test_old_rows_of_each_kind_go(engine: Engine, migrated_url: str) -> None:
    credit = Credit(model="last", touch_id="t1", share_millionths=1_000_000)
    old_ms, new_ms = LONG_AGO_MS, NOW_MS
    write(
        migrated_url,
        a_session("old"),
        a_session("new"),
        an_attribution("old", decided_at_ms=old_ms, credits=[credit]),
        an_attribution("new", 1, decided_at_ms=old_ms, credits=[credit]),
        an_attribution("new", 2, decided_at_ms=new_ms, credits=[credit]),
        a_rejected("old", received_at_ms=old_ms),
        a_rejected("new", received_at_ms=new_ms),
    )
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE fact_sessions SET written_at = :at WHERE session_id = 'old'"),
            {"at": BEFORE - timedelta(days=1)},
        )
    gone = [
        ("fact_sessions", 1, "deleted"),
        ("attribution_credits", 1, "deleted"),
        ("attributions", 1, "deleted"),
        ("attribution_revisions", 2, "deleted"),
        ("rejected", 1, "deleted"),
    ]
    assert run(migrated_url, dry_run=True) == gone
    assert run(migrated_url) == gone
    for table, name in [
        ("fact_sessions", "session_id"),
        ("attribution_credits", "conversion_id"),
        ("attributions", "conversion_id"),
        ("attribution_revisions", "conversion_id"),
        ("rejected", "rejected_id"),
    ]:
        assert column(engine, f"SELECT {name} FROM {table}") == ["new"]


def test_a_changed_session_counts_from_its_change(engine: Engine, migrated_url: str) -> None:
    write(migrated_url, a_session("s", 1))
    with engine.begin() as connection:
        connection.execute(text("UPDATE fact_sessions SET written_at = '2020-01-01'"))
    write(migrated_url, a_session("s", 2), first_offset=1)
    assert run(migrated_url) == []


def test_kinds_without_a_moment_stay(engine: Engine, migrated_url: str) -> None:
    write(migrated_url, an_event(received_at_ms=0), a_rejected(received_at_ms=0))
    assert list(retention.run(migrated_url, {"rejected": None})) == []
    settings = Settings(retention_rejected_days=3)
    assert retention.days_kept(settings) == {**dict.fromkeys(retention.KINDS, 0), "rejected": 3}


def test_a_day_that_somebody_holds_is_told_as_busy_and_goes_later(
    engine: Engine, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_TRIES", 2)
    write(migrated_url, an_event(received_at_ms=LONG_AGO_MS))
    with closing(psycopg2.connect(migrated_url)) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM fact_events")
        began_s = time.monotonic()
        assert run(migrated_url) == [("fact_events_20250710", 1, "busy")]
        assert time.monotonic() - began_s < PATIENCE_S / 2
    assert run(migrated_url) == [("fact_events_20250710", 1, "dropped")]


def test_nothing_is_lost_of_what_a_writer_writes_meanwhile(
    engine: Engine, migrated_url: str
) -> None:
    """Young events for old days come one by one while these days are dropped again and again."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def keep_on_dropping() -> None:
        try:
            while not stop.is_set():
                list(retention.run(migrated_url, {"events": BEFORE}))
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    dropper = threading.Thread(target=keep_on_dropping)
    dropper.start()
    try:
        with closing(Writer(migrated_url, "g")) as writer:
            epochs = {one: claim.epoch for one, claim in writer.claim([("t", 0)]).items()}
            for number in range(60):
                young = number % 5 == 4
                one = an_event(
                    f"{'young' if young else 'old'}-{number}",
                    timestamp_ms=AT_MS - number * DAY_MS // 5,
                    received_at_ms=NOW_MS if young else LONG_AGO_MS,
                )
                for batch in batches([Message("t", 0, number, encode(one))], version="1"):
                    writer.write(batch, epochs)
    finally:
        stop.set()
        dropper.join(PATIENCE_S)
    assert failed == []
    run(migrated_url)
    young_ids = [f"young-{n}" for n in range(4, 60, 5)]
    assert sorted(column(engine, "SELECT event_id FROM fact_events")) == sorted(young_ids)


def test_without_a_server_it_is_unavailable() -> None:
    with pytest.raises(StorageUnavailableError):
        list(retention.run("postgresql://u@127.0.0.1:1/d", ALL))


def test_the_command_says_what_went(
    engine: Engine, migrated_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("TRACKSTREAM_POSTGRES_URL", migrated_url)
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path))
    write(migrated_url, a_rejected("old", received_at_ms=LONG_AGO_MS))

    def said(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["retention", "run", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    assert "Everything is kept" in said()
    monkeypatch.setenv("TRACKSTREAM_RETENTION_REJECTED_DAYS", "30")
    assert "would be" in said("--dry-run")
    assert '"rows": 1, "action": "deleted"' in said("--json")
    assert "Nothing is too old" in said()
    assert column(engine, "SELECT count(*) FROM rejected") == [0]
