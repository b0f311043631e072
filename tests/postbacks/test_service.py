"""From the topic to the receiver, in processes of their own that are killed in the middle."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer

from tests.core.postbacks.samples import an_attribution
from tests.postbacks.conftest import MASTER_KEY, future_ms
from tests.waiting import PATIENCE_S
from trackstream.codec import encode
from trackstream.postbacks.consumer import consume
from trackstream.settings import Settings
from trackstream.storage.topics import bootstrap_servers, ensure_topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from pathlib import Path

    from tests.postbacks.conftest import Outbox
    from tests.postbacks.receiver import Received, Receiver


@pytest.fixture
async def settings(
    kafka_url: str, database_url: str, topic_prefix: str, tmp_path: Path
) -> Settings:
    settings = Settings(
        data_dir=tmp_path,
        kafka_url=kafka_url,
        postgres_url=database_url,
        topic_prefix=topic_prefix,
        topic_partitions=2,
        master_key=MASTER_KEY.hex(),
        postbacks_allow_private=True,
        postbacks_timeout_s=5,
    )
    await ensure_topics(settings)
    return settings


@asynccontextmanager
async def child(settings: Settings, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env={**os.environ, **settings.environ()},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def decide(settings: Settings, numbers: Iterable[int], *, pause_s: float = 0) -> None:
    """Write attributions to the topic, and something that is none."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers(settings.kafka_url))
    await producer.start()
    try:
        topic = settings.topic_prefix + "attributions"
        await producer.send_and_wait(topic, key=b"x", value=b"no attribution")
        unstorable = an_attribution(conversion_id="shop:\0", decided_at_ms=future_ms())
        await producer.send_and_wait(topic, key=b"x", value=encode(unstorable))
        for number in numbers:
            record = an_attribution(conversion_id=f"shop:i{number}", decided_at_ms=future_ms())
            await producer.send(topic, key=f"person{number}".encode(), value=encode(record))
            await asyncio.sleep(pause_s)
        await producer.flush()
    finally:
        await producer.stop()


async def reached(condition: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 # others change it
            await asyncio.sleep(0.05)


async def test_killed_in_the_middle_it_tells_nobody_twice_and_forgets_nothing(
    settings: Settings, outbox: Outbox, receiver: Receiver
) -> None:
    hanging, killed = asyncio.Event(), asyncio.Event()
    decided = 10

    def more() -> Iterator[int]:
        """Until it has been killed, however long that takes, and some after it."""
        nonlocal decided
        left = 20
        while left:
            yield decided
            decided += 1
            left -= killed.is_set()

    async def answer(_: Received) -> web.Response:
        if hanging.is_set():
            await asyncio.sleep(PATIENCE_S)
        return web.Response()

    receiver.answer = answer
    outbox.destination(url=receiver.url + "/?{conversion_id}", max_concurrency=3)
    await decide(settings, range(10))
    async with child(settings, "-m", "tests.postbacks.child") as process:
        await reached(lambda: len(receiver.received) == 10)
        # Read and sent while there is more and more of it.
        deciding = asyncio.create_task(decide(settings, more(), pause_s=0.02))
        await reached(lambda: len(receiver.received) >= 30)
        hanging.set()
        await reached(lambda: receiver.at_once == 3)
        # What was answered before is noted, so that nothing but the three is under way.
        await reached(lambda: outbox.states().count("sent") == len(receiver.received) - 3)
        process.kill()
        await process.wait()
        killed.set()
        hanging.clear()
    queued = len(outbox.rows())
    await deciding
    assert 30 <= queued < decided

    def settled() -> bool:
        states = outbox.states()
        return len(states) == decided and set(states) <= {"sent", "unknown"}

    # Two share the rest, and come into each other's way when the second joins.
    again = (settings, "-m", "tests.postbacks.child")
    async with child(*again), child(*again):
        await reached(settled)
    assert receiver.counted() == {f"/?shop%3Ai{number}": 1 for number in range(decided)}
    # What hung had been received, but nobody can know: it is neither sent again nor forgotten.
    assert outbox.states().count("unknown") == 3


async def test_the_sender_is_told_of_what_is_new(settings: Settings, outbox: Outbox) -> None:
    outbox.destination()
    stop, ready, queued = asyncio.Event(), asyncio.Event(), asyncio.Event()
    reading = asyncio.create_task(
        consume(settings, outbox.engine, stop=stop, on_ready=ready.set, on_queued=queued.set)
    )
    await asyncio.wait_for(ready.wait(), PATIENCE_S)
    assert not queued.is_set()
    await decide(settings, range(1))
    await asyncio.wait_for(queued.wait(), PATIENCE_S)
    assert outbox.states() == ["due"]
    stop.set()
    await reading


async def test_the_command_runs_until_it_is_told_to_stop(
    settings: Settings, outbox: Outbox, receiver: Receiver
) -> None:
    outbox.destination(url=receiver.url + "/?{conversion_id}")
    await decide(settings, range(1))
    async with child(settings, "-m", "trackstream", "postbacks", "run") as process:
        assert process.stdout is not None
        assert b"has its partitions" in await process.stdout.readline()
        await reached(lambda: outbox.states() == ["sent"])
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert receiver.counted() == {"/?shop%3Ai0": 1}
