"""What holds messages back during a rebalance loses none of them; what Kafka refuses is told."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError
from mode.utils.queues import FlowControlQueue

from agents.transport import FlowControl, Outgoing, Producer
from trackstream.application import create_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.settings import Settings


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


async def test_the_app_uses_it(make_settings: Callable[[], Settings]) -> None:
    assert isinstance(create_app(make_settings()).flow_control, FlowControl)


async def test_a_failure_is_told_when_no_other_write_is_under_way() -> None:
    """What is written next may replace what these write."""
    written: list[int] = []

    async def write(_: Any, topic: str, partition: int, records: list[Outgoing]) -> int:
        if partition == 0:
            raise MessageSizeTooLargeError(topic)
        await asyncio.sleep(0.05)
        written.append(len(records))
        return 0

    writing: Any = SimpleNamespace(_ensure_producer=lambda: None, _write=write)
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
    written: Any = SimpleNamespace(_ensure_producer=lambda: producer, _write=Producer._write)
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
