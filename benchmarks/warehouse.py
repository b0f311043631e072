"""Stage "warehouse": how many events the writer takes from the topics into PostgreSQL.

`events` is filled first, then the writer is started as its own process. Its CPU is Python's: what
PostgreSQL spends on the rows is beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from sqlalchemy import func, select

from benchmarks.embedded import embedded
from benchmarks.measured import StageResult, watched
from trackstream import codec
from trackstream.core.records import Context, Event
from trackstream.settings import PREFIX, Settings
from trackstream.storage.database import make_engine
from trackstream.storage.migrations import migrate
from trackstream.storage.schema import fact_events
from trackstream.storage.topics import bootstrap_servers, ensure_topics

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["run"]

_USERS = 2_000


def run(argv: list[str]) -> list[StageResult]:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.pipeline warehouse", description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    options = parser.parse_args(argv)
    with embedded() as settings:
        migrate(settings.postgres_url)
        asyncio.run(_fill(settings, options.events))
        result = _measure(settings, options.events)
    print(result, flush=True)
    return [result]


async def _fill(settings: Settings, events: int) -> None:
    await ensure_topics(settings)
    now_ms = time.time_ns() // 1_000_000
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers(settings.kafka_url),
        acks="all",
        linger_ms=20,
        max_batch_size=2**18,
    ) as producer:
        for number in range(events):
            event = _event(number, now_ms)
            await producer.send(
                settings.topic_prefix + "events", codec.encode(event), key=event.person.encode()
            )


def _event(number: int, now_ms: int) -> Event:
    person = f"user:user-{number % _USERS}"
    return Event(
        event_id=f"event-{number}",
        app_id="demo",
        event="page_view" if number % 3 else "add_to_cart",
        timestamp_ms=now_ms - 3_600_000 + number,
        client_timestamp_ms=now_ms - 3_600_000 + number,
        received_at_ms=now_ms,
        person=person,
        subject=f"demo|{person}",
        session_id=f"session-{number // 20}",
        user_id=person.partition(":")[2],
        properties='{"product_id":"p123","price":49.99,"list":["a","b"]}',
        context=Context(
            app_version="1.2.3",
            locale="de-DE",
            page_url="https://shop.example/p/123?utm_source=news",
            page_title="Shoes",
        ),
        ip=f"81.2.{number % 200}.{number % 250}",
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
        browser="Firefox",
        os_name="Linux",
        country="GB",
        city="London",
        timezone="Europe/London",
    )


def _measure(settings: Settings, events: int) -> StageResult:
    environ = {key: one for key, one in os.environ.items() if not key.startswith(PREFIX)}
    engine = make_engine(settings.postgres_url)
    with subprocess.Popen(
        [sys.executable, "-m", "trackstream", "warehouse"],
        env={**environ, **settings.environ()},
        stdout=subprocess.DEVNULL,
    ) as writer:
        try:
            sampled = watched(writer.pid, lambda: _written(engine), events)
        finally:
            writer.terminate()
            writer.wait(20)
            engine.dispose()
    return StageResult(
        stage="warehouse",
        events=events,
        batch=1,
        events_per_s=sampled.events_per_s,
        cpu_us_per_event=sampled.cpu_us_per_event,
    )


def _written(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(fact_events)).scalar_one()
