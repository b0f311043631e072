from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from aiokafka import AIOKafkaProducer

from tests.storage.records import (
    AT_MS,
    DAY_MS,
    a_rejected,
    a_session,
    an_attribution,
    an_event,
)
from tests.waiting import PATIENCE_S
from trackstream.codec import encode
from trackstream.settings import Settings
from trackstream.storage.consumer import group_of
from trackstream.storage.errors import InvalidValueError, StorageError
from trackstream.storage.topics import bootstrap_servers, ensure_topics
from trackstream.storage.warehouse import READING, Progress, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trackstream.core.records import Record


class Log:
    """The topics of one test, and the tables that should follow them."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self.settings = settings
        self._producer = producer

    async def send(self, topic: str, *records: Record | bytes) -> None:
        name = self.settings.topic_prefix + topic
        sent = []
        for number, record in enumerate(records):
            value = record if isinstance(record, bytes) else encode(record)
            sent.append(await self._producer.send(name, value, key=b"%d" % number))
        await asyncio.gather(*sent)

    def one(self, query: str) -> Any:
        with (
            closing(psycopg2.connect(self.settings.postgres_url)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(query)
            row = cursor.fetchone()
            return None if row is None else row[0]

    def count(self, table: str) -> int:
        found: int = self.one(f"SELECT count(*) FROM {table}")
        return found

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await asyncio.to_thread(true):  # noqa: ASYNC110 - a database tells nobody
                await asyncio.sleep(0.05)


@pytest.fixture
async def log(kafka_url: str, topic_prefix: str, migrated_url: str) -> AsyncIterator[Log]:
    settings = Settings(
        kafka_url=kafka_url,
        postgres_url=migrated_url,
        topic_prefix=topic_prefix,
        topic_partitions=3,
    )
    await ensure_topics(settings)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers(kafka_url))
    await producer.start()
    yield Log(settings, producer)
    await producer.stop()


@asynccontextmanager
async def _running(
    settings: Settings, progress: Progress | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(run(settings, stop=stop, on_ready=ready.set, progress=progress))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    assert ready.is_set(), "not ready"
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE_S)


async def test_all_topics_are_written_and_counted(log: Log) -> None:
    progress = Progress()
    await log.send("events", *(an_event(f"e{n}") for n in range(100)))
    async with _running(log.settings, progress):
        await log.send("sessions", a_session("s", 1), a_session("t", 1))
        await log.send("attributions", an_attribution())
        await log.send("rejected", a_rejected(), b"nonsense")
        await log.until(lambda: log.count("rejected") == 2)
        await log.until(lambda: log.count("fact_events") == 100)
        await log.until(lambda: log.count("attributions") == 1)
        await log.until(lambda: log.count("fact_sessions") == 2)
    assert progress.messages == 105
    assert progress.rows["fact_events"] == 100
    assert progress.rows["attribution_revisions"] == 1
    assert progress.batches >= 1
    assert progress.write_s > 0
    assert "105 messages" in str(progress)


async def test_a_restart_goes_on_where_the_rows_end(log: Log) -> None:
    await log.send("events", *(an_event(f"a{n}") for n in range(50)))
    async with _running(log.settings):
        await log.until(lambda: log.count("fact_events") == 50)
    # Rows that are gone do not come back: what was written is not read again.
    with closing(psycopg2.connect(log.settings.postgres_url)) as connection, connection:
        connection.cursor().execute("DELETE FROM fact_events")
    progress = Progress()
    await log.send("events", *(an_event(f"b{n}") for n in range(50)))
    async with _running(log.settings, progress):
        await log.until(lambda: log.count("fact_events") >= 50)
    assert log.count("fact_events") == 50
    assert progress.messages == 50


async def test_partitions_are_shared_and_handed_over_without_loss_or_repetition(log: Log) -> None:
    first, second = Progress(), Progress()
    enough = asyncio.Event()
    sent = 0

    async def keep_sending() -> None:
        nonlocal sent
        while not enough.is_set():
            await log.send("events", *(an_event(f"{sent + n}") for n in range(25)))
            sent += 25
            await asyncio.sleep(0.05)

    async with _running(log.settings, first):
        sending = asyncio.create_task(keep_sending())
        async with _running(log.settings, second):
            await log.until(lambda: second.rows["fact_events"] > 20)
        # The first has the partitions of the second again, while more and more is sent.
        so_far = sent
        await log.until(lambda: first.messages + second.messages >= so_far)
        enough.set()
        await sending
        await log.until(lambda: first.messages + second.messages >= sent)
    assert first.rows["fact_events"] + second.rows["fact_events"] == sent
    # A message's effect is committed once: nothing was read twice for being handed over.
    assert first.messages + second.messages == sent


async def test_one_bad_row_among_many_is_rejected_alone(log: Log) -> None:
    events = [an_event(f"e{n}") for n in range(200)]
    events[77] = an_event("bad", properties="{")
    events[150] = an_event("long", person="".join(chr(0x4E00 + n) for n in range(9000)))
    async with _running(log.settings):
        await log.send("events", *events)
        await log.until(lambda: log.count("rejected") == 2)
        await log.until(lambda: log.count("fact_events") == 198)
    assert log.one("SELECT payload FROM rejected WHERE detail LIKE '%json%'").tobytes() == encode(
        events[77]
    )
    assert log.one("SELECT count(DISTINCT reasons) FROM rejected") == 1
    assert log.one("SELECT reasons FROM rejected LIMIT 1") == ["invalid_value"]


async def test_a_killed_process_loses_nothing_and_repeats_nothing(log: Log) -> None:
    total = 1
    killed = False

    async def keep_sending() -> None:
        nonlocal total
        while not killed:
            await log.send("events", *(an_event(f"{total + n}") for n in range(1000)))
            total += 1000

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, env={**os.environ, **log.settings.environ()}
    )
    await log.send("events", an_event("0"))
    await log.until(lambda: log.count("fact_events") == 1)
    sending = asyncio.create_task(keep_sending())
    # In the middle: something is written, something is not.
    await log.until(lambda: log.count("fact_events") > 1)
    process.kill()
    await process.wait()
    killed = True
    await sending
    # PostgreSQL may still be committing what it was told last.
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    await log.until(lambda: log.one(f"{others} AND pid <> pg_backend_pid()") == 0)
    written = log.count("fact_events")
    assert 1 < written < total
    assert log.one("SELECT sum(next_offset) FROM consumer_offsets") == written
    progress = Progress()
    async with _running(log.settings, progress):
        await log.until(lambda: log.count("fact_events") == total)
    assert progress.messages == total - written


_PROGRAM = """
import asyncio
from trackstream.embedded.kafka import EmbeddedKafka
from trackstream.settings import Settings
from trackstream.storage.warehouse import run
asyncio.run(run(Settings.load(), stop=asyncio.Event()))
"""


async def test_history_of_many_days_is_written(log: Log) -> None:
    events = [an_event(str(n), timestamp_ms=AT_MS - 3650 * DAY_MS + n * DAY_MS) for n in range(100)]
    async with _running(log.settings):
        await log.send("events", *events)
        await log.until(lambda: log.count("fact_events") == 100)
    assert log.one("SELECT count(DISTINCT event_day) FROM fact_events") == 100


async def test_a_topic_that_was_made_anew_is_read_from_its_start(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    group, topic = group_of(READING.group, log.settings), log.settings.topic_prefix + "events"
    with closing(psycopg2.connect(log.settings.postgres_url)) as connection, connection:
        for number in range(3):
            connection.cursor().execute(
                "INSERT INTO consumer_offsets VALUES (%s, %s, %s, 1000, 1, now())",
                (group, topic, number),
            )
    await log.send("events", *(an_event(f"e{n}") for n in range(20)))
    async with _running(log.settings):
        await log.until(lambda: log.count("fact_events") == 20)
    assert "made anew" in caplog.text


async def test_a_database_that_is_not_migrated_ends_it_with_the_reason(
    log: Log,
) -> None:
    with closing(psycopg2.connect(log.settings.postgres_url)) as connection, connection:
        connection.cursor().execute("DROP TABLE consumer_offsets")
    with pytest.raises(StorageError, match="consumer_offsets"):
        await asyncio.wait_for(run(log.settings, stop=asyncio.Event()), PATIENCE_S)


async def test_without_a_url_the_setting_is_named(kafka_url: str) -> None:
    with pytest.raises(InvalidValueError, match="TRACKSTREAM_POSTGRES_URL"):
        await run(Settings(kafka_url=kafka_url), stop=asyncio.Event())
