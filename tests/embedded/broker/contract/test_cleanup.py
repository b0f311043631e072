"""Retention and compaction, seen from clients.

Apache Kafka looks at retention every five minutes, and its smallest segment is 1 MiB: there, only
our own broker (which the fixture makes look every 200 ms) can show this within a test's time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.embedded.broker.conftest import Kafka


@pytest.fixture(autouse=True)
def only_where_it_is_quick(kafka: Kafka) -> None:
    if not kafka.is_ours:
        pytest.skip("takes minutes on Apache Kafka")


def _eventually(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def _produce(kafka: Kafka, topic: str, count: int, *, age_ms: int = 0) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    now_ms = int(time.time() * 1000)
    for number in range(count):
        producer.produce(
            topic, f"value {number}", key=f"key {number % 3}", timestamp=now_ms - age_ms
        )
        producer.flush(PATIENCE_S)


def _read(kafka: Kafka, topic: str) -> list[tuple[int, bytes | None]]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": "unused",
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
    low, _ = consumer.get_watermark_offsets(TopicPartition(topic, 0), PATIENCE_S)
    consumer.assign([TopicPartition(topic, 0, low)])
    found = []
    while (message := consumer.poll(PATIENCE_S)) is not None and not message.error():
        found.append((message.offset() or 0, message.value()))
    consumer.close()
    return found


def _low(kafka: Kafka, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "unused"})
    low, _ = consumer.get_watermark_offsets(TopicPartition(topic, 0), PATIENCE_S)
    consumer.close()
    return int(low)


def test_what_is_older_than_its_retention_goes(kafka: Kafka) -> None:
    topic = kafka.new_topic(retention_ms=60_000, segment_bytes=400)
    _produce(kafka, topic, 10, age_ms=120_000)
    _produce(kafka, topic, 10)
    # Whole segments go: the one that holds both ages stays.
    _eventually(lambda: _low(kafka, topic) >= 6)
    values = [value for _, value in _read(kafka, topic)]
    assert values[-10:] == [f"value {number}".encode() for number in range(10)]
    assert len(values) < 16


def test_everything_goes_but_offsets_go_on(kafka: Kafka) -> None:
    topic = kafka.new_topic(retention_ms=60_000)
    _produce(kafka, topic, 5, age_ms=120_000)
    _eventually(lambda: _low(kafka, topic) == 5)
    _produce(kafka, topic, 1)
    assert _read(kafka, topic) == [(5, b"value 0")]


def test_what_is_beyond_its_size_goes(kafka: Kafka) -> None:
    topic = kafka.new_topic(retention_bytes=1000, segment_bytes=300)
    _produce(kafka, topic, 60)
    _eventually(lambda: _low(kafka, topic) > 40)
    values = [value for _, value in _read(kafka, topic)]
    assert values == [f"value {number}".encode() for number in range(60 - len(values), 60)]


def test_the_newest_of_each_key_stays(kafka: Kafka) -> None:
    topic = kafka.new_topic(
        cleanup_policy="compact", segment_bytes=400, min_cleanable_dirty_ratio=0.01
    )
    _produce(kafka, topic, 60)
    _eventually(lambda: len(_read(kafka, topic)) < 15)
    found = _read(kafka, topic)
    assert found[-3:] == [(number, f"value {number}".encode()) for number in (57, 58, 59)]
    assert found == sorted(found)
    assert _low(kafka, topic) == 0
