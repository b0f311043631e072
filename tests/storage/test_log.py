from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.ports import free_port
from tests.waiting import PATIENCE_S
from trackstream.embedded.kafka import EmbeddedKafka
from trackstream.ports import Undelivered
from trackstream.settings import Settings
from trackstream.storage.errors import (
    InvalidValueError,
    StorageUnavailableError,
    TopicMismatchError,
)
from trackstream.storage.log_sink import KafkaSink
from trackstream.storage.topics import TOPICS, bootstrap_servers, ensure_topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def settings(kafka_url: str, topic_prefix: str) -> Settings:
    return Settings(
        kafka_url=kafka_url, topic_prefix=topic_prefix, topic_partitions=3, produce_timeout_s=30
    )


@pytest.fixture
async def sink(settings: Settings) -> AsyncIterator[KafkaSink]:
    await ensure_topics(settings)
    sink = KafkaSink(settings)
    yield sink
    await sink.stop()


def _dead_settings() -> Settings:
    return Settings(kafka_url=f"kafka://127.0.0.1:{free_port()}", produce_timeout_s=1)


async def _read(settings: Settings, topic: str, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(
        settings.topic_prefix + topic,
        bootstrap_servers=bootstrap_servers(settings.kafka_url),
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        return [await asyncio.wait_for(consumer.getone(), PATIENCE_S) for _ in range(count)]
    finally:
        await consumer.stop()


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("kafka://a:1,b:2", ["a:1", "b:2"]),
        ("kafka://a", ["a:9092"]),
        ("kafka://[::1]:9, [::2]", ["[::1]:9", "[::2]:9092"]),
    ],
)
def test_a_url_names_bootstrap_servers(url: str, servers: list[str]) -> None:
    assert bootstrap_servers(url) == servers


@pytest.mark.parametrize("url", [None, "", "kafka://", "http://a:1"])
def test_another_url_is_refused(url: str | None) -> None:
    with pytest.raises(InvalidValueError, match="TRACKSTREAM_KAFKA_URL"):
        bootstrap_servers(url)


async def test_topics_are_there_with_their_partitions_after_several_starters(
    settings: Settings,
) -> None:
    await asyncio.gather(*(ensure_topics(settings) for _ in range(3)))
    await ensure_topics(settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers(settings.kafka_url))
    await admin.start()
    try:
        described = await admin.describe_topics()
    finally:
        await admin.close()
    counts = {
        one["topic"]: len(one["partitions"])
        for one in described
        if one["topic"].startswith(settings.topic_prefix)
    }
    assert counts == {settings.topic_prefix + topic: 3 for topic in TOPICS}


async def test_another_partition_count_is_refused_and_names_the_setting(
    settings: Settings,
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers(settings.kafka_url))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(settings.topic_prefix + "raw", 2, 1)])
    finally:
        await admin.close()
    with pytest.raises(
        TopicMismatchError, match=r"TRACKSTREAM_TOPIC_PARTITIONS is 3, but \S+raw has 2"
    ):
        await ensure_topics(settings)


async def test_topics_without_kafka_are_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StorageUnavailableError, match="kafka://") as said:
        await ensure_topics(_dead_settings(), timeout_s=0.5)
    assert str(said.value).endswith("within 0.5 s: no answer (TRACKSTREAM_KAFKA_URL)")
    assert not caplog.records  # one sentence is enough
    logging.getLogger("aiokafka").error('Unable connect to "x"')
    assert caplog.records  # later ones are told


async def test_what_is_sent_is_there_in_order_of_its_key(
    sink: KafkaSink, settings: Settings
) -> None:
    messages = [("raw", b"k%d" % (n % 5), b"%d" % n) for n in range(200)]
    await asyncio.gather(sink.send(messages), sink.send([("identity", b"k", b"v")]))
    read = await _read(settings, "raw", 200)
    for key in range(5):
        values = [int(one.value) for one in read if one.key == b"k%d" % key]
        assert values == list(range(key, 200, 5))
    [touch] = await _read(settings, "identity", 1)
    assert (touch.key, touch.value) == (b"k", b"v")


async def test_a_key_goes_where_kafkas_own_clients_put_it(
    sink: KafkaSink, settings: Settings
) -> None:
    await sink.send([("raw", b"key%d" % n, b"") for n in range(50)])
    plain = AIOKafkaProducer(bootstrap_servers=bootstrap_servers(settings.kafka_url))
    await plain.start()
    try:
        for n in range(50):
            await plain.send_and_wait(settings.topic_prefix + "events", b"", key=b"key%d" % n)
    finally:
        await plain.stop()
    ours = {one.key: one.partition for one in await _read(settings, "raw", 50)}
    theirs = {one.key: one.partition for one in await _read(settings, "events", 50)}
    assert ours == theirs
    assert set(ours.values()) == {0, 1, 2}


async def test_a_request_of_the_largest_size_fits_in_one_message(
    sink: KafkaSink, settings: Settings
) -> None:
    await sink.send([("raw", b"k", b"x" * settings.max_inflated_bytes)])
    [big] = await _read(settings, "raw", 1)
    assert len(big.value) == settings.max_inflated_bytes
    assert TopicPartition(big.topic, big.partition).topic == settings.topic_prefix + "raw"


async def test_nothing_to_send_is_sent(sink: KafkaSink) -> None:
    await sink.send([])


async def test_without_kafka_nothing_is_delivered_and_it_is_told_in_time() -> None:
    sink = KafkaSink(_dead_settings())
    async with asyncio.timeout(PATIENCE_S / 2):
        with pytest.raises(Undelivered):
            await sink.start()
        with pytest.raises(Undelivered):
            await sink.send([("raw", b"k", b"v")])
        await sink.stop()


async def test_a_stopped_sink_delivers_nothing(sink: KafkaSink) -> None:
    await sink.start()
    await sink.stop()
    with pytest.raises(Undelivered, match="stopped"):
        await sink.send([("raw", b"k", b"v")])


async def test_when_the_broker_comes_back_messages_are_delivered_again(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path)
    await asyncio.to_thread(broker.start)
    try:
        settings = Settings(kafka_url=broker.url, topic_partitions=2, produce_timeout_s=3)
        await ensure_topics(settings)
        sink = KafkaSink(settings)
        await sink.send([("raw", b"k", b"1")])
        await asyncio.to_thread(broker.stop)
        with pytest.raises(Undelivered):
            await sink.send([("raw", b"k", b"2")])
        await asyncio.to_thread(broker.start)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await sink.send([("raw", b"k", b"3")])
                except Undelivered:
                    continue
                break
        read = await _read(settings, "raw", 2)
        await sink.stop()
    finally:
        await asyncio.to_thread(broker.stop)
    # What was told as undelivered may come late, or not at all; what was acknowledged is there.
    assert read[0].value == b"1"
    assert read[1].value in {b"2", b"3"}
