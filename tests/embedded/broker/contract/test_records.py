"""Records come back as they were sent, whatever client and codec."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from tests.embedded.broker.conftest import Kafka


def read_confluent(kafka: Kafka, topic: str, count: int, partition: int = 0) -> list[Message]:
    """Read the first records of a partition."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "unused"})
    consumer.assign([TopicPartition(topic, partition, 0)])
    messages: list[Message] = []
    deadline_s = time.monotonic() + PATIENCE_S
    while len(messages) < count and time.monotonic() < deadline_s:
        messages += consumer.consume(count - len(messages), 0.5)
    consumer.close()
    assert not [message.error() for message in messages if message.error()]
    return messages


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("idempotent", [False, True])
def test_confluent_round_trip(kafka: Kafka, codec: str, *, idempotent: bool) -> None:
    topic = kafka.new_topic(retention_ms=-1)
    producer = Producer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "compression.type": codec,
            "enable.idempotence": idempotent,
            "linger.ms": 20,
        }
    )
    for number in range(500):
        producer.produce(
            topic,
            f"value {number}" * 10,
            key=f"key {number}",
            headers={"number": str(number).encode(), "empty": b"", "null": None},
            timestamp=1_700_000_000_000 + number,
        )
    assert producer.flush(PATIENCE_S) == 0
    messages = read_confluent(kafka, topic, 500)
    assert [message.offset() for message in messages] == list(range(500))
    assert [message.value() for message in messages] == [
        (f"value {number}" * 10).encode() for number in range(500)
    ]
    last = messages[-1]
    assert last.key() == b"key 499"
    assert last.headers() == [("number", b"499"), ("empty", b""), ("null", None)]
    assert last.timestamp() == (1, 1_700_000_000_499)


@pytest.mark.parametrize("codec", [None, "gzip"])
async def test_aiokafka_round_trip(kafka: Kafka, codec: str | None) -> None:
    topic = kafka.new_topic()
    sent = [(b"k", b"v"), (None, b"v"), (b"k", None), (b"", b""), (b"k", b"x" * 9999)]
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, compression_type=codec, linger_ms=10
    ) as producer:
        futures = [
            await producer.send(topic, value, key, headers=[("h", b"1"), ("h", b"2")])
            for key, value in sent
        ]
        assert [(await future).offset for future in futures] == list(range(len(sent)))
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        records = [await consumer.getone() for _ in sent]
    assert [(record.key, record.value) for record in records] == sent
    assert records[0].headers == (("h", b"1"), ("h", b"2"))


async def test_without_acknowledgement(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks=0) as producer:
        for number in range(20):
            await producer.send(topic, str(number).encode())
    assert [message.value() for message in read_confluent(kafka, topic, 20)] == [
        str(number).encode() for number in range(20)
    ]


async def test_each_partition_has_its_own_order(kafka: Kafka) -> None:
    topic = kafka.new_topic(partitions=16)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=5) as producer:
        futures = [
            await producer.send(topic, str(number).encode(), partition=number % 16)
            for number in range(320)
        ]
        for future in futures:
            await future
    seen: dict[int, list[int]] = {}
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        for _ in range(320):
            record = await consumer.getone()
            seen.setdefault(record.partition, []).append(int(record.value))
    assert seen == {partition: list(range(partition, 320, 16)) for partition in range(16)}


def test_big_messages_up_to_the_topics_limit(kafka: Kafka) -> None:
    topic = kafka.new_topic(max_message_bytes=3_000_000)
    reports: list[tuple[KafkaError | None, int | None]] = []

    def report(error: KafkaError | None, message: Message) -> None:
        reports.append((error, message.offset()))

    producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.max.bytes": 5_000_000})
    producer.produce(topic, b"x" * 2_900_000, on_delivery=report)
    producer.flush(PATIENCE_S)
    producer.produce(topic, b"x" * 3_100_000, on_delivery=report)
    producer.flush(PATIENCE_S)
    producer.produce(topic, b"small", on_delivery=report)
    producer.flush(PATIENCE_S)
    assert reports[0] == (None, 0)
    assert reports[1][0] is not None
    assert reports[1][0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    assert reports[2] == (None, 1)
    sizes = [len(message.value() or b"") for message in read_confluent(kafka, topic, 2)]
    assert sizes == [2_900_000, 5]


async def test_a_message_beyond_the_limit_is_refused_to_aiokafka(kafka: Kafka) -> None:
    topic = kafka.new_topic(max_message_bytes=2000)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(topic, b"x" * 3000)
        await producer.send_and_wait(topic, b"x" * 1000)


async def test_the_brokers_clock_can_give_the_time(kafka: Kafka) -> None:
    topic = kafka.new_topic(message_timestamp_type="LogAppendTime")
    before_ms = int(time.time() * 1000) - 1000
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        sent = await producer.send_and_wait(topic, b"x", timestamp_ms=5)
    assert sent.timestamp_type == 1
    assert sent.timestamp >= before_ms
    (message,) = read_confluent(kafka, topic, 1)
    assert message.timestamp() == (2, sent.timestamp)
