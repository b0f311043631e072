from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerClosed

from tests.waiting import PATIENCE_S
from trackstream.core.murmur import partition_of
from trackstream.storage.lanes import Lanes
from trackstream.storage.topics import bootstrap_servers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PARTITIONS = 3
LARGEST_BYTES = 2**20


@pytest.fixture
async def topic(kafka_url: str, topic_prefix: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers(kafka_url))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(f"{topic_prefix}lanes", PARTITIONS, 1)])
    finally:
        await admin.close()
    return f"{topic_prefix}lanes"


@pytest.fixture
async def producer(kafka_url: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers(kafka_url),
        acks="all",
        enable_idempotence=True,
        max_batch_size=64 * 1024,
        max_request_size=LARGEST_BYTES,
    )
    await producer.start()
    yield producer
    await producer.stop()


def _lanes(producer: AIOKafkaProducer, linger_s: float = 0.003) -> Lanes:
    return Lanes(producer, linger_s=linger_s, max_message_bytes=LARGEST_BYTES)


async def _read(kafka_url: str, topic: str, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap_servers(kafka_url), auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        return [await asyncio.wait_for(consumer.getone(), PATIENCE_S) for _ in range(count)]
    finally:
        await consumer.stop()


async def test_each_key_has_its_order_over_many_batches_and_calls(
    producer: AIOKafkaProducer, kafka_url: str, topic: str
) -> None:
    lanes = _lanes(producer)
    value = b"x" * 3_000  # some twenty fill a batch
    calls = [
        [(topic, b"key%d" % key, b"%d:" % number + value) for key in range(4)]
        for number in range(100)
    ]
    await asyncio.gather(*map(lanes.send, calls))
    read = await _read(kafka_url, topic, 400)
    for key in range(4):
        mine = [one for one in read if one.key == b"key%d" % key]
        assert [int(one.value.partition(b":")[0]) for one in mine] == list(range(100))
        assert {one.partition for one in mine} == {partition_of(b"key%d" % key, PARTITIONS)}


async def test_a_call_returns_when_all_of_its_messages_are_there_and_not_before(
    producer: AIOKafkaProducer, kafka_url: str, topic: str
) -> None:
    lanes = _lanes(producer, linger_s=1)
    sending = asyncio.create_task(lanes.send([(topic, b"%d" % n, b"v") for n in range(9)]))
    await asyncio.sleep(0.05)
    assert not sending.done()
    await sending
    ends = await _ends(kafka_url, topic)
    assert sum(ends.values()) == 9
    assert sorted(ends) == list(range(PARTITIONS))


async def _ends(kafka_url: str, topic: str) -> dict[int, int]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers(kafka_url))
    await consumer.start()
    try:
        found = await consumer.end_offsets(consumer.assignment())
    finally:
        await consumer.stop()
    return {place.partition: end for place, end in found.items()}


async def test_one_that_is_too_large_fails_alone_and_writes_nothing(
    producer: AIOKafkaProducer, kafka_url: str, topic: str
) -> None:
    lanes = _lanes(producer)
    large = lanes.send([(topic, b"k", b"before"), (topic, b"k", b"x" * LARGEST_BYTES)])
    found = await asyncio.gather(
        large, lanes.send([(topic, b"k", b"other")]), return_exceptions=True
    )
    assert isinstance(found[0], MessageSizeTooLargeError)
    assert found[1] is None
    assert [one.value for one in await _read(kafka_url, topic, 1)] == [b"other"]
    assert sum((await _ends(kafka_url, topic)).values()) == 1


async def test_what_nobody_waits_for_any_more_is_not_sent(
    producer: AIOKafkaProducer, kafka_url: str, topic: str
) -> None:
    lanes = _lanes(producer, linger_s=0.2)
    given_up = asyncio.create_task(lanes.send([(topic, b"k", b"given up")]))
    await asyncio.sleep(0.02)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    await lanes.flush()
    await lanes.send([(topic, b"k", b"later")])
    assert [one.value for one in await _read(kafka_url, topic, 1)] == [b"later"]


async def test_a_flush_does_not_linger(producer: AIOKafkaProducer, topic: str) -> None:
    lanes = _lanes(producer, linger_s=10 * PATIENCE_S)
    sending = asyncio.create_task(lanes.send([(topic, b"k", b"v")]))
    await asyncio.sleep(0.02)
    async with asyncio.timeout(PATIENCE_S):
        await lanes.flush()
        await sending


async def test_each_who_waits_is_told_of_a_failure(producer: AIOKafkaProducer, topic: str) -> None:
    lanes = _lanes(producer)
    await lanes.send([(topic, b"k", b"v")])
    await producer.stop()
    calls = [lanes.send([(topic, b"%d" % n, b"v") for n in range(5)]) for _ in range(3)]
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in found] == [ProducerClosed] * 3
    assert len({id(one) for one in found}) == 3


async def test_who_waits_is_told_when_lanes_are_abandoned(
    producer: AIOKafkaProducer, topic: str
) -> None:
    lanes = _lanes(producer, linger_s=0)
    await lanes.send([(topic, b"k", b"v")])
    sending = asyncio.create_task(lanes.send([(topic, b"k", b"v")]))
    await asyncio.sleep(0.001)
    lanes.abandon()
    found = (await asyncio.gather(sending, return_exceptions=True))[0]
    assert found is None or isinstance(found, KafkaError)
