"""What holds messages back during a rebalance loses none of them; what Kafka refuses is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError
from faust.types import TP
from mode.utils.queues import FlowControlQueue

from agents.pauses import Pauses, StoodStillError
from agents.transport import (
    Consumer,
    FlowControl,
    Outgoing,
    Producer,
    _ConsumerThread,
)
from trackstream.application import create_app
from trackstream.storage.topics import bootstrap_servers

if TYPE_CHECKING:
    from trackstream.settings import Settings


RUNNING: Any = SimpleNamespace(consumer=SimpleNamespace(refuse_after_pause=lambda: None))
"""As far as a producer looks at its app."""


async def test_what_has_arrived_stays_when_the_flow_is_resumed() -> None:
    flow = FlowControl()
    queue: FlowControlQueue[int] = FlowControlQueue(flow_control=flow, clear_on_resume=True)
    flow.resume()
    queue.put_nowait(1)
    flow.resume()
    assert queue.qsize() == 1


async def test_what_was_read_before_a_rebalance_is_cleared_when_it_begins() -> None:
    flow = FlowControl()
    queue: FlowControlQueue[int] = FlowControlQueue(flow_control=flow, clear_on_resume=True)
    queue.put_nowait(1)
    flow.suspend()
    flow.clear()
    assert queue.empty()
    assert not flow.is_active()


async def test_the_app_uses_it(unstarted: Settings) -> None:
    assert isinstance(create_app(unstarted).flow_control, FlowControl)


@pytest.mark.parametrize(("session_s", "heartbeat_s"), [(6, 1.2), (15, 3), (300, 3)])
def test_a_long_session_makes_no_rebalance_slow(
    unstarted: Settings, session_s: int, heartbeat_s: float
) -> None:
    app = create_app(replace(unstarted, worker_session_timeout_s=session_s))
    assert (app.conf.broker_session_timeout, app.conf.broker_heartbeat_interval) == (
        session_s,
        heartbeat_s,
    )


async def test_a_fetch_is_of_the_partitions_that_were_active_when_it_began() -> None:
    """An empty set is all partitions to aiokafka, and Faust empties its set meanwhile."""
    consumer: Any = Consumer.__new__(Consumer)
    asked: list[set[TP]] = []

    async def getmany(active_partitions: set[TP], _: float) -> dict[TP, list[Any]]:
        live.clear()
        asked.append(set(active_partitions))
        return {}

    consumer._thread = SimpleNamespace(getmany=getmany)
    live = {TP("changelog", 0)}
    await consumer._getmany(live, 0.1)
    assert asked == [{TP("changelog", 0)}]


async def test_what_was_never_committed_is_read_from_the_beginning(
    unstarted: Settings, kafka_url: str
) -> None:
    settings = unstarted
    topic = f"{settings.topic_prefix}t"
    servers = bootstrap_servers(kafka_url)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 2, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for partition in (0, 1):
            for number in range(3):
                await producer.send_and_wait(topic, b"%d" % number, partition=partition)
    client = AIOKafkaConsumer(bootstrap_servers=servers, group_id=topic, enable_auto_commit=False)
    await client.start()
    try:
        places = [TopicPartition(topic, n) for n in (0, 1)]
        client.assign(places)
        await client.seek_to_beginning(*places)
        read = 0
        while read < 6:
            read += sum(map(len, (await client.getmany(timeout_ms=100)).values()))
        await client.commit({places[1]: 2})
        app = create_app(settings)
        thread: Any = _ConsumerThread.__new__(_ConsumerThread)
        thread.app, thread._consumer = app, client
        thread.call_thread = _at_once
        thread._ensure_consumer = lambda: client
        await thread.seek_to_committed()
        assert [await client.position(one) for one in places] == [0, 2]
    finally:
        await client.stop()


async def _at_once(method: Any, *arguments: Any) -> Any:
    return await method(*arguments)


def test_what_was_handled_before_a_long_pause_is_not_written() -> None:
    pauses = Pauses(4.0)
    begun_s = monotonic()
    pauses.look(1, at_s=begun_s)
    pauses.refuse(1, at_s=begun_s + 3.9)
    with pytest.raises(StoodStillError):  # whoever wakes first
        pauses.refuse(1, at_s=begun_s + 9)
    pauses.look(1, at_s=begun_s + 9)
    with pytest.raises(StoodStillError):
        pauses.refuse(1, at_s=begun_s + 9.1)
    pauses.look(1, at_s=begun_s + 9.3)
    with pytest.raises(StoodStillError):
        pauses.refuse(1, at_s=begun_s + 9.4)
    pauses.refuse(2, at_s=begun_s + 9.4)  # what was read since it has joined again


async def test_a_failure_is_told_when_no_other_write_is_under_way() -> None:
    """What is written next may replace what these write."""
    written: list[int] = []

    async def write(_: Any, topic: str, partition: int, records: list[Outgoing]) -> int:
        if partition == 0:
            raise MessageSizeTooLargeError(topic)
        await asyncio.sleep(0.05)
        written.append(len(records))
        return 0

    writing: Any = SimpleNamespace(app=RUNNING, _ensure_producer=lambda: None, _write=write)
    with pytest.raises(MessageSizeTooLargeError):
        await Producer.deliver(writing, [Outgoing("t", n, b"k", b"v") for n in range(3)])
    assert written == [1, 1]


async def test_a_record_larger_than_its_topic_takes_is_refused(
    kafka_url: str,
) -> None:
    servers, topic = kafka_url.removeprefix("kafka://"), f"t{uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    config = {"max.message.bytes": str(100_000)}
    await admin.create_topics([NewTopic(topic, 2, 1, topic_configs=config)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers, max_batch_size=50_000, acks="all")
    await producer.start()
    written: Any = SimpleNamespace(
        app=RUNNING, _ensure_producer=lambda: producer, _write=Producer._write
    )
    try:
        small = [Outgoing(topic, 0, b"k", b"x" * 1_000) for _ in range(200)]
        large = Outgoing(topic, 1, b"k", b"x" * 200_000)
        with pytest.raises(MessageSizeTooLargeError):
            await Producer.deliver(written, [large, *small])
        last = await Producer.deliver(written, [Outgoing(topic, 0, b"k", b"after")])
        assert last == {(topic, 0): 200}
        fits = Outgoing(topic, 1, b"k", b"x" * (100_000 - 256))
        assert await Producer.deliver(written, [fits, fits]) == {(topic, 1): 1}
    finally:
        await producer.stop()
