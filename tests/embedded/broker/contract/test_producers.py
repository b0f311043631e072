"""Idempotent and transactional producers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka import TopicPartition as ConfluentPartition

from tests.embedded.broker.raw_client import RawClient, batch
from tests.waiting import PATIENCE_S
from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.protocol.group_apis import FIND_COORDINATOR, OFFSET_FETCH
from trackstream.embedded.broker.protocol.records_apis import PRODUCE
from trackstream.embedded.broker.protocol.transaction_apis import (
    ADD_PARTITIONS_TO_TXN,
    END_TXN,
    INIT_PRODUCER_ID,
)

if TYPE_CHECKING:
    from tests.embedded.broker.conftest import Kafka


async def _produce(raw: RawClient, topic: str, records: bytes, **more: Any) -> dict[str, Any]:
    answer = await raw.call(
        PRODUCE,
        7,
        acks=-1,
        timeout_ms=5000,
        topics=[{"name": topic, "partitions": [{"index": 0, "records": records}]}],
        **more,
    )
    result: dict[str, Any] = answer["topics"][0]["partitions"][0]
    return result


async def _new_producer(raw: RawClient, transactional_id: str | None = None) -> tuple[int, int]:
    """Ask for an identity until the coordinator is there."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if transactional_id is not None:
                await raw.call(FIND_COORDINATOR, 2, key=transactional_id, key_type=1)
            answer = await raw.call(
                INIT_PRODUCER_ID,
                1,
                transactional_id=transactional_id,
                transaction_timeout_ms=30_000,
            )
            if answer["error_code"] == 0:
                return answer["producer_id"], answer["producer_epoch"]
            await asyncio.sleep(0.1)


async def test_a_repeated_batch_is_written_once(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    async with RawClient(kafka.bootstrap) as raw:
        producer = await _new_producer(raw)
        sent = [batch(b"a", b"b", producer=producer, sequence=2 * n) for n in range(4)]
        for number, records in enumerate(sent):
            assert (await _produce(raw, topic, records))["base_offset"] == 2 * number
        for number in (0, 3, 1, 2):
            again = await _produce(raw, topic, sent[number])
            assert again["error_code"] == 0
            assert again["base_offset"] == 2 * number
        after = await _produce(raw, topic, batch(b"c", producer=producer, sequence=8))
        assert after["base_offset"] == 8


async def test_a_gap_and_an_old_epoch_are_refused(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    async with RawClient(kafka.bootstrap) as raw:
        producer_id, epoch = await _new_producer(raw)
        newer = (producer_id, epoch + 1)
        cases = [
            ((producer_id, epoch), 0, ErrorCode.NONE),
            ((producer_id, epoch), 2, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),
            (newer, 5, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),
            (newer, 0, ErrorCode.NONE),
            ((producer_id, epoch), 1, ErrorCode.INVALID_PRODUCER_EPOCH),
        ]
        for producer, sequence, error in cases:
            sent = batch(b"x", producer=producer, sequence=sequence)
            assert (await _produce(raw, topic, sent))["error_code"] == error


async def test_damaged_batches_are_refused(kafka: Kafka) -> None:
    topic, compacted = kafka.new_topic(), kafka.new_topic(cleanup_policy="compact")
    whole = batch(b"value")
    flipped = whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]
    async with RawClient(kafka.bootstrap) as raw:
        for name, records, error in (
            (topic, flipped, ErrorCode.CORRUPT_MESSAGE),
            (topic, whole + whole, ErrorCode.INVALID_RECORD),
            (compacted, batch(b"x", key=None), ErrorCode.INVALID_RECORD),
            (topic, batch(b"x" * 2_000_000), ErrorCode.MESSAGE_TOO_LARGE),
            (topic + "-missing", whole, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
            (compacted, whole, ErrorCode.NONE),
            (topic, whole, ErrorCode.NONE),
        ):
            assert (await _produce(raw, name, records))["error_code"] == error
        # Nothing of what was refused is in the log.
        assert (await _produce(raw, topic, whole))["base_offset"] == 1


def _read(kafka: Kafka, topic: str, isolation: str, count: int) -> list[bytes | None]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": "unused",
            "isolation.level": isolation,
        }
    )
    consumer.assign([ConfluentPartition(topic, 0, 0)])
    values: list[bytes | None] = []
    deadline_s = time.monotonic() + PATIENCE_S
    while len(values) < count and time.monotonic() < deadline_s:
        # One more than there shall be, so that too many would show.
        values += [message.value() for message in consumer.consume(count + 1, 0.25)]
    values += [message.value() for message in consumer.consume(1, 0.3)]
    consumer.close()
    return values


def test_confluent_transactions(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap, "transactional.id": kafka.new_name("txn")}
    )
    producer.init_transactions(PATIENCE_S)
    for number, commit in enumerate([True, False, True, False, False, True]):
        producer.begin_transaction()
        producer.produce(topic, f"{number} a")
        producer.flush(PATIENCE_S)
        producer.produce(topic, f"{number} b")
        if commit:
            producer.commit_transaction(PATIENCE_S)
        else:
            producer.flush(PATIENCE_S)
            producer.abort_transaction(PATIENCE_S)
    committed = [f"{number} {half}".encode() for number in (0, 2, 5) for half in "ab"]
    assert _read(kafka, topic, "read_committed", 6) == committed
    everything = [f"{number} {half}".encode() for number in range(6) for half in "ab"]
    assert _read(kafka, topic, "read_uncommitted", 12) == everything


async def test_readers_wait_for_the_end_of_a_transaction(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    options = {"bootstrap_servers": kafka.bootstrap}
    async with (
        AIOKafkaProducer(transactional_id=kafka.new_name("txn"), **options) as producer,
        AIOKafkaProducer(**options) as plain,
        AIOKafkaConsumer(
            topic,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=200,
            **options,
        ) as consumer,
    ):
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"in transaction")
        await plain.send_and_wait(topic, b"plain")
        assert not await consumer.getmany(timeout_ms=500)
        place = TopicPartition(topic, 0)
        assert await consumer.end_offsets([place]) == {place: 0}
        await producer.commit_transaction()
        values = [(await asyncio.wait_for(consumer.getone(), PATIENCE_S)).value for _ in range(2)]
        assert values == [b"in transaction", b"plain"]


async def test_aiokafka_transactions_and_fencing(kafka: Kafka) -> None:
    topic, transactional_id = kafka.new_topic(), kafka.new_name("txn")
    options = {"bootstrap_servers": kafka.bootstrap, "transactional_id": transactional_id}
    zombie = AIOKafkaProducer(**options)
    await zombie.start()
    await zombie.begin_transaction()
    await zombie.send_and_wait(topic, b"of the zombie")
    async with AIOKafkaProducer(**options) as producer:
        with pytest.raises(ProducerFenced):
            await zombie.commit_transaction()
        async with producer.transaction():
            await producer.send_and_wait(topic, b"of the successor")
    with contextlib.suppress(ProducerFenced):
        await zombie.stop()
    assert await asyncio.to_thread(_read, kafka, topic, "read_committed", 1) == [
        b"of the successor"
    ]


async def test_a_zombie_cannot_write(kafka: Kafka) -> None:
    topic, transactional_id = kafka.new_topic(), kafka.new_name("txn")
    async with RawClient(kafka.bootstrap) as raw:
        old = await _new_producer(raw, transactional_id)
        add = {
            "transactional_id": transactional_id,
            "topics": [{"name": topic, "partitions": [0]}],
        }
        await raw.call(ADD_PARTITIONS_TO_TXN, 2, producer_id=old[0], producer_epoch=old[1], **add)
        write = batch(b"x", producer=old, sequence=0, attributes=0x10)
        txn = {"transactional_id": transactional_id}
        assert (await _produce(raw, topic, write, **txn))["error_code"] == 0
        new = await _new_producer(raw, transactional_id)
        assert new[0] == old[0]
        assert new[1] > old[1]
        write = batch(b"y", producer=old, sequence=1, attributes=0x10)
        refused = await _produce(raw, topic, write, **txn)
        assert refused["error_code"] == ErrorCode.INVALID_PRODUCER_EPOCH
        for api, version, body, error in (
            (ADD_PARTITIONS_TO_TXN, 2, add, ErrorCode.PRODUCER_FENCED),
            (ADD_PARTITIONS_TO_TXN, 1, add, ErrorCode.INVALID_PRODUCER_EPOCH),
            (END_TXN, 2, txn | {"committed": True}, ErrorCode.PRODUCER_FENCED),
            (END_TXN, 1, txn | {"committed": True}, ErrorCode.INVALID_PRODUCER_EPOCH),
        ):
            answer = await raw.call(api, version, producer_id=old[0], producer_epoch=old[1], **body)
            if api is END_TXN:
                assert answer["error_code"] == error
            else:
                assert answer["topics"][0]["partitions"][0]["error_code"] == error


async def test_a_transactional_write_needs_its_transaction(kafka: Kafka) -> None:
    topic, transactional_id = kafka.new_topic(), kafka.new_name("txn")
    async with RawClient(kafka.bootstrap) as raw:
        producer = await _new_producer(raw, transactional_id)
        write = batch(b"x", producer=producer, sequence=0, attributes=0x10)
        refused = await _produce(raw, topic, write, transactional_id=transactional_id)
        assert refused["error_code"] != 0
        answer = await raw.call(
            END_TXN,
            1,
            transactional_id=transactional_id,
            producer_id=producer[0],
            producer_epoch=producer[1],
            committed=True,
        )
        assert answer["error_code"] == ErrorCode.INVALID_TXN_STATE


def test_consume_transform_produce(kafka: Kafka) -> None:
    source, target = kafka.new_topic(), kafka.new_topic()
    group = kafka.new_name("group")
    plain = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(6):
        plain.produce(source, str(number))
    assert plain.flush(PATIENCE_S) == 0
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([source])
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap, "transactional.id": kafka.new_name("txn")}
    )
    producer.init_transactions(PATIENCE_S)
    for commit in (True, False):
        producer.begin_transaction()
        messages = consumer.consume(3, PATIENCE_S)
        assert len(messages) == 3
        for message in messages:
            producer.produce(target, b"seen " + (message.value() or b""))
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), PATIENCE_S
        )
        if commit:
            producer.commit_transaction(PATIENCE_S)
        else:
            producer.abort_transaction(PATIENCE_S)
    committed = consumer.committed([ConfluentPartition(source, 0)], PATIENCE_S)
    assert [place.offset for place in committed] == [3]
    consumer.close()
    assert _read(kafka, target, "read_committed", 3) == [b"seen 0", b"seen 1", b"seen 2"]


def test_a_replaced_member_cannot_commit_in_a_transaction(kafka: Kafka) -> None:
    source, group = kafka.new_topic(), kafka.new_name("group")
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    consumer.subscribe([source])
    while not consumer.assignment():
        consumer.poll(0.1)
    metadata = consumer.consumer_group_metadata()
    consumer.close()
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap, "transactional.id": kafka.new_name("txn")}
    )
    producer.init_transactions(PATIENCE_S)
    producer.begin_transaction()
    with pytest.raises(KafkaException):
        producer.send_offsets_to_transaction(
            [ConfluentPartition(source, 0, 1)], metadata, PATIENCE_S
        )
    producer.abort_transaction(PATIENCE_S)


async def test_offsets_of_an_open_transaction_are_unstable(kafka: Kafka) -> None:
    topic, group = kafka.new_topic(), kafka.new_name("group")
    asked = {"group_id": group, "topics": [{"name": topic, "partitions": [0]}]}
    place = TopicPartition(topic, 0)
    async with (
        AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap, transactional_id=kafka.new_name("txn")
        ) as producer,
        RawClient(kafka.bootstrap) as raw,
    ):
        async with producer.transaction():
            await producer.send_offsets_to_transaction({place: 5}, group)
            for require_stable, error, offset in (
                (True, ErrorCode.UNSTABLE_OFFSET_COMMIT, -1),
                (False, ErrorCode.NONE, -1),
            ):
                answer = await raw.call(OFFSET_FETCH, 7, require_stable=require_stable, **asked)
                partition = answer["topics"][0]["partitions"][0]
                assert (partition["error_code"], partition["offset"]) == (error, offset)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await raw.call(OFFSET_FETCH, 7, require_stable=True, **asked)
                if answer["topics"][0]["partitions"][0]["offset"] == 5:
                    break
                await asyncio.sleep(0.05)
