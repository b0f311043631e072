"""Where readers can start: ends, times, positions that are gone."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as ConfluentPartition
from confluent_kafka.admin._listoffsets import OffsetSpec

from tests.embedded.broker.raw_client import RawClient, batch
from tests.waiting import PATIENCE_S
from trackstream.embedded.broker.protocol.records_apis import FETCH, LIST_OFFSETS, PRODUCE

if TYPE_CHECKING:
    from tests.embedded.broker.conftest import Kafka

WAIT_MS = round(2000 * PATIENCE_S)
"""How long a fetch is to wait for records: longer than a test waits for its answer."""
_BASE_MS = int(time.time()) * 1000 - 3_600_000


async def _fill(kafka: Kafka, topic: str, count: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=2) as producer:
        for number in range(count):
            await producer.send(
                topic, str(number).encode(), partition=0, timestamp_ms=_BASE_MS + number * 1000
            )
            if number % 7 == 0:
                await producer.flush()


async def test_ends_and_seeking(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    place = TopicPartition(topic, 0)
    await _fill(kafka, topic, 50)
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap) as consumer:
        consumer.assign([place])
        assert await consumer.beginning_offsets([place]) == {place: 0}
        assert await consumer.end_offsets([place]) == {place: 50}
        for offset in (49, 0, 33, 7, 8):
            consumer.seek(place, offset)
            assert (await consumer.getone()).offset == offset
        await consumer.seek_to_end(place)
        assert await consumer.position(place) == 50
        await consumer.seek_to_beginning(place)
        assert (await consumer.getone()).value == b"0"


async def test_a_time_leads_to_the_first_record_at_or_after_it(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    place = TopicPartition(topic, 0)
    await _fill(kafka, topic, 50)
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap) as consumer:
        consumer.assign([place])
        for time_ms, offset in ((0, 0), (_BASE_MS, 0), (_BASE_MS + 1, 1), (_BASE_MS + 48_500, 49)):
            found = await consumer.offsets_for_times({place: time_ms})
            assert found[place].offset == offset
            assert found[place].timestamp == _BASE_MS + offset * 1000
        assert await consumer.offsets_for_times({place: _BASE_MS + 49_001}) == {place: None}


def test_the_newest_record_can_be_found(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    asyncio.run(_fill(kafka, topic, 20))
    place = ConfluentPartition(topic, 0)
    spec: Any = OffsetSpec  # untyped
    for wanted, offset in (
        (spec.max_timestamp(), 19),
        (spec.latest(), 20),
        (spec.earliest(), 0),
        (spec.for_timestamp(_BASE_MS + 3500), 4),
    ):
        result = kafka.admin.list_offsets({place: wanted})[place].result(PATIENCE_S)
        assert result.offset == offset


async def test_a_position_beyond_the_log_is_out_of_range(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    place = TopicPartition(topic, 0)
    await _fill(kafka, topic, 5)
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap, auto_offset_reset="none"
    ) as consumer:
        consumer.assign([place])
        consumer.seek(place, 6)
        with pytest.raises(OffsetOutOfRangeError):
            await consumer.getone()
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign([place])
        consumer.seek(place, 600)
        assert (await consumer.getone()).offset == 0


def test_deleted_records_are_gone(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    asyncio.run(_fill(kafka, topic, 30))
    place = ConfluentPartition(topic, 0, 12)
    deleted = kafka.admin.delete_records([place])[place].result(PATIENCE_S)
    assert deleted.low_watermark == 12
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "unused"})
    assert consumer.get_watermark_offsets(place, timeout=PATIENCE_S) == (12, 30)
    consumer.assign([ConfluentPartition(topic, 0, 12)])
    messages = consumer.consume(1, PATIENCE_S)
    consumer.close()
    assert [message.offset() for message in messages] == [12]


async def test_an_append_wakes_a_waiting_fetch_at_once(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    delays_ms = []
    async with (
        AIOKafkaConsumer(
            topic,
            bootstrap_servers=kafka.bootstrap,
            fetch_max_wait_ms=WAIT_MS,
            request_timeout_ms=2 * WAIT_MS,
        ) as consumer,
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer,
    ):
        assert await consumer.position(TopicPartition(topic, 0)) == 0
        for number in range(30):
            await asyncio.sleep(0.01)
            began_s = time.perf_counter()
            await producer.send(topic, str(number).encode())
            assert (await consumer.getone()).value == str(number).encode()
            delays_ms.append((time.perf_counter() - began_s) * 1000)
    # Some are as fast as it wakes, however busy the machine is; and none waits for the timeout.
    assert sorted(delays_ms)[5] < 50
    assert max(delays_ms[1:]) < WAIT_MS / 2


async def test_a_fetch_waits_for_as_many_bytes_as_asked(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    fetch = {
        "replica_id": -1,
        "min_bytes": 400,
        "max_bytes": 1 << 20,
        "topics": [
            {"name": topic, "partitions": [{"index": 0, "fetch_offset": 0, "max_bytes": 1 << 20}]}
        ],
    }
    async with RawClient(kafka.bootstrap) as reader, RawClient(kafka.bootstrap) as writer:
        empty = await reader.call(FETCH, 11, max_wait_ms=50, **fetch)
        assert bytes(empty["topics"][0]["partitions"][0]["records"] or b"") == b""
        reader.send(FETCH, 11, max_wait_ms=WAIT_MS, **fetch)
        for size in (100, 100, 300):
            sent = [{"name": topic, "partitions": [{"index": 0, "records": batch(b"x" * size)}]}]
            await writer.call(PRODUCE, 7, acks=-1, timeout_ms=1000, topics=sent)
        answer = await asyncio.wait_for(reader.receive(FETCH, 11), PATIENCE_S)
        partition = answer["topics"][0]["partitions"][0]
        assert len(partition["records"]) >= 400
        assert partition["error_code"] == 0


@pytest.mark.parametrize("version", [4, 5, 7, 9, 11, 12])
async def test_every_version_of_fetch_reads_the_same(kafka: Kafka, version: int) -> None:
    topic = kafka.new_topic()
    sent = batch(b"one", b"two")
    wanted = [{"index": 0, "fetch_offset": 1, "max_bytes": 1 << 20}]
    async with RawClient(kafka.bootstrap) as client:
        topics = [{"name": topic, "partitions": [{"index": 0, "records": sent}]}]
        await client.call(PRODUCE, 7, acks=-1, timeout_ms=1000, topics=topics)
        answer = await client.call(
            FETCH,
            version,
            replica_id=-1,
            max_wait_ms=2000,
            min_bytes=1,
            max_bytes=1 << 20,
            topics=[{"name": topic, "partitions": wanted}],
        )
        partition = answer["topics"][0]["partitions"][0]
        assert partition["high_watermark"] == 2
        # All but the leader epoch, which the broker sets.
        assert bytes(partition["records"])[16:] == sent[16:]


@pytest.mark.parametrize("version", [1, 2, 4, 5, 6, 7])
async def test_every_version_of_list_offsets_answers(kafka: Kafka, version: int) -> None:
    topic = kafka.new_topic()
    async with RawClient(kafka.bootstrap) as client:
        answer = await client.call(
            LIST_OFFSETS,
            version,
            replica_id=-1,
            topics=[{"name": topic, "partitions": [{"index": 0, "timestamp": -1}]}],
        )
    assert answer["topics"][0]["partitions"][0]["offset"] == 0
    assert answer["topics"][0]["partitions"][0]["error_code"] == 0
