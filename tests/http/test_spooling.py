"""A 2xx is durable: through an outage of Kafka and the collector's own death in the middle of it.

`TRACKSTREAM_TEST_OUTAGE_S` makes the outage longer than the second that it lasts otherwise.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer

from tests.agents.running import Log, Worker
from tests.http.served import (
    client_of,
    event,
    post,
    registered_key,
    running,
    until_ready,
)
from tests.ports import free_port
from tests.waiting import PATIENCE_S
from trackstream import codec
from trackstream.core.records import Envelope, Event, Touch
from trackstream.embedded.kafka import EmbeddedKafka
from trackstream.settings import Settings
from trackstream.storage.topics import bootstrap_servers, ensure_topics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trackstream.ports import Key

pytestmark = pytest.mark.xdist_group("collector")

_OUTAGE_S = float(os.environ.get("TRACKSTREAM_TEST_OUTAGE_S", "1"))
_SENDERS = 6
_PAUSE_S = 0.02


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    broker = EmbeddedKafka(tmp_path / "kafka")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def settings(broker: EmbeddedKafka, database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        kafka_url=broker.url,
        postgres_url=database_url,
        redis_url=redis_url,
        topic_partitions=2,
        master_key="ab" * 32,
        collector_port=free_port(),
        produce_timeout_s=2,
        spool_after_ms=200,
        tick_interval_s=1,
    )


@dataclass
class Load:
    """Senders, each of its own user, that number their events and repeat what was not accepted."""

    settings: Settings
    key: Key
    accepted: dict[str, list[str]] = field(default_factory=dict)
    clicks: list[str] = field(default_factory=list)
    stopping: bool = False

    @property
    def count(self) -> int:
        return sum(map(len, self.accepted.values()))

    async def send(self, user: str) -> None:
        accepted = self.accepted[user] = []
        async with client_of(self.settings) as session:
            while not self.stopping:
                event_id = f"{user}-{len(accepted)}"
                body = event(user)[:-1] + b',"event_id":"%b"}' % event_id.encode()
                with suppress(aiohttp.ClientError):
                    if await post(session, self.key, "/v1/event", body) == 201:
                        accepted.append(event_id)
                await asyncio.sleep(_PAUSE_S)

    async def click(self) -> None:
        number = 0
        async with client_of(self.settings) as session:
            while not self.stopping:
                number += 1
                url = f"/c/sale?click_id=click-{number}"
                with suppress(aiohttp.ClientError):
                    async with session.get(
                        url, allow_redirects=False, headers={"User-Agent": "Mozilla/5.0 Firefox/1"}
                    ) as response:
                        if "X-Trackstream-Click-Id" in response.headers:
                            self.clicks.append(response.headers["X-Trackstream-Click-Id"])
                await asyncio.sleep(_PAUSE_S)

    async def more(self, count: int) -> None:
        """Return when so many more events were accepted."""
        wanted = self.count + count
        async with asyncio.timeout(PATIENCE_S):
            while self.count < wanted:  # noqa: ASYNC110 - several senders count
                await asyncio.sleep(0.02)


async def read_log(settings: Settings) -> tuple[list[Envelope], list[Touch]]:
    """Everything that collectors have written, in the order of each key."""
    consumer = AIOKafkaConsumer(
        *(settings.topic_prefix + topic for topic in ("raw", "identity")),
        bootstrap_servers=bootstrap_servers(settings.kafka_url),
        auto_offset_reset="earliest",
        group_id=None,
    )
    await consumer.start()
    try:
        places = consumer.assignment()
        ends = await consumer.end_offsets(places)
        records = []
        while [place for place in places if await consumer.position(place) < ends[place]]:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += [codec.decode(one.value) for one in batch]
    finally:
        await consumer.stop()
    return (
        [one for one in records if isinstance(one, Envelope)],
        [one for one in records if isinstance(one, Touch)],
    )


async def metric(session: aiohttp.ClientSession, name: str) -> float:
    async with session.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    prefix = f"trackstream_collector_{name} "
    return next(float(line.removeprefix(prefix)) for line in lines if line.startswith(prefix))


async def until_drained(settings: Settings) -> None:
    async with client_of(settings) as session, asyncio.timeout(PATIENCE_S):
        while await metric(session, "spool_messages"):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)


async def test_what_is_accepted_in_an_outage_arrives_once_though_the_collector_is_killed(
    settings: Settings, broker: EmbeddedKafka
) -> None:
    key = registered_key(settings)
    await ensure_topics(settings)
    load = Load(settings, key)
    with running(settings) as collector:
        async with client_of(settings) as session:
            await until_ready(session)
        tasks = [asyncio.create_task(load.send(f"u{number}")) for number in range(_SENDERS)]
        tasks.append(asyncio.create_task(load.click()))
        await load.more(50)
        await asyncio.to_thread(broker.stop)
        await load.more(50)
        await asyncio.sleep(_OUTAGE_S)
        async with client_of(settings) as session:
            await until_ready(session)
            # Each sender may have had an answer under way that Kafka had taken before.
            assert await metric(session, "spool_messages") >= 50 - _SENDERS
            assert await metric(session, "spool_oldest_seconds") > 0
        collector.kill()
        collector.wait(PATIENCE_S)
    with running(settings) as collector:
        await load.more(50)
        await asyncio.sleep(_OUTAGE_S)
        await asyncio.to_thread(broker.start)
        await asyncio.sleep(0.5)  # about to drain, or in the middle of it
        collector.kill()
        collector.wait(PATIENCE_S)
    with running(settings) as collector:
        await load.more(50)
        await until_drained(settings)
        await load.more(50)
        load.stopping = True
        await asyncio.gather(*tasks)
        await until_drained(settings)
        collector.terminate()
        assert collector.wait(PATIENCE_S) == 0

    envelopes, touches = await read_log(settings)
    for user, accepted in load.accepted.items():
        written = [
            one.event_id
            for envelope in envelopes
            if envelope.subject == f"shop|user:{user}"
            for one in envelope.events
        ]
        first_written = [one for one in dict.fromkeys(written) if one in set(accepted)]
        assert first_written == accepted
    assert len(load.clicks) > 20
    assert set(load.clicks) <= {touch.click_id for touch in touches}

    wanted = {one for accepted in load.accepted.values() for one in accepted}
    worker = Worker(settings, settings.data_dir / "worker")
    async with Log(settings) as log:
        try:
            await asyncio.to_thread(worker.start)
            counts = await log.until(lambda log: _complete(log, wanted))
        finally:
            await asyncio.to_thread(worker.stop)
    assert set(counts.values()) == {1}


def _complete(log: Log, wanted: set[str]) -> Counter[str] | None:
    counts = Counter(one.event_id for one in log.of(Event))
    return counts if counts.keys() >= wanted else None


async def test_without_a_spool_an_outage_is_told(settings: Settings, broker: EmbeddedKafka) -> None:
    settings = Settings.load({**settings.environ(), "TRACKSTREAM_SPOOL_MAX_MIB": "0"})
    key = registered_key(settings)
    await ensure_topics(settings)
    with running(settings):
        async with client_of(settings) as session:
            await until_ready(session)
            await asyncio.to_thread(broker.stop)
            began_s = time.monotonic()
            assert await post(session, key, "/v1/event", event("u")) == 503
            assert time.monotonic() - began_s < PATIENCE_S / 2
            assert await until_ready(session, status=503) == ["kafka"]
