"""Topics and their configuration; versions of the protocol."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewPartitions, NewTopic

from tests.embedded.broker.raw_client import RawClient
from tests.waiting import PATIENCE_S
from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.protocol.records_apis import API_VERSIONS, FETCH, METADATA
from trackstream.embedded.broker.protocol.registry import APIS

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from tests.embedded.broker.conftest import Kafka


def _refusal(future: Future[object]) -> int:
    with pytest.raises(KafkaException) as caught:
        future.result(PATIENCE_S)
    error = caught.value.args[0]
    assert isinstance(error, KafkaError)
    return error.code()


def _create(kafka: Kafka, topic: NewTopic) -> Future[object]:
    future: Future[object] = kafka.admin.create_topics([topic])[topic.topic]
    return future


def _eventually(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_create_describe_delete(kafka: Kafka) -> None:
    name = kafka.new_topic(partitions=3)
    _eventually(lambda: name in kafka.admin.list_topics(timeout=PATIENCE_S).topics)
    found = kafka.admin.list_topics(timeout=PATIENCE_S).topics[name]
    assert sorted(found.partitions) == [0, 1, 2]
    assert {len(partition.replicas) for partition in found.partitions.values()} == {1}
    again = _create(kafka, NewTopic(name, 3, 1))
    assert _refusal(again) == KafkaError.TOPIC_ALREADY_EXISTS
    kafka.admin.delete_topics([name])[name].result(PATIENCE_S)
    _eventually(lambda: name not in kafka.admin.list_topics(timeout=PATIENCE_S).topics)
    gone = kafka.admin.delete_topics([name])[name]
    assert _refusal(gone) == KafkaError.UNKNOWN_TOPIC_OR_PART
    _eventually(lambda: _created(kafka, name))
    _eventually(lambda: _partition_count(kafka, name) == 1)


def _partition_count(kafka: Kafka, name: str) -> int:
    topic = kafka.admin.list_topics(timeout=PATIENCE_S).topics.get(name)
    return 0 if topic is None else len(topic.partitions)


def _created(kafka: Kafka, name: str) -> bool:
    try:
        _create(kafka, NewTopic(name, 1, 1)).result(PATIENCE_S)
    except KafkaException:
        return False
    return True


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        (NewTopic("bad name", 1, 1), KafkaError.TOPIC_EXCEPTION),
        (NewTopic("..", 1, 1), KafkaError.TOPIC_EXCEPTION),
        (NewTopic("x" * 250, 1, 1), KafkaError.TOPIC_EXCEPTION),
        (NewTopic("no-partitions", 0, 1), KafkaError.INVALID_PARTITIONS),
        (NewTopic("replicated", 1, 3), KafkaError.INVALID_REPLICATION_FACTOR),
        (NewTopic("odd", 1, 1, config={"retention.ms": "soon"}), KafkaError.INVALID_CONFIG),
        (NewTopic("odd", 1, 1, config={"no.such.setting": "1"}), KafkaError.INVALID_CONFIG),
    ],
)
def test_impossible_topics_are_refused(kafka: Kafka, topic: NewTopic, code: int) -> None:
    assert _refusal(_create(kafka, topic)) == code


def test_validation_creates_nothing(kafka: Kafka) -> None:
    name = kafka.new_name("topic")
    topic = NewTopic(name, 2, 1)
    kafka.admin.create_topics([topic], validate_only=True)[name].result(PATIENCE_S)
    assert name not in kafka.admin.list_topics(timeout=PATIENCE_S).topics


def test_more_partitions(kafka: Kafka) -> None:
    name = kafka.new_topic(partitions=2)
    kafka.admin.create_partitions([NewPartitions(name, 5)])[name].result(PATIENCE_S)
    _eventually(lambda: _partition_count(kafka, name) == 5)
    fewer = kafka.admin.create_partitions([NewPartitions(name, 4)])[name]
    assert _refusal(fewer) == KafkaError.INVALID_PARTITIONS


def _described(kafka: Kafka, name: str) -> dict[str, ConfigEntry]:
    resource = ConfigResource(ResourceType.TOPIC, name)
    described: dict[str, ConfigEntry] = kafka.admin.describe_configs([resource])[resource].result(
        PATIENCE_S
    )
    return described


def test_configuration(kafka: Kafka) -> None:
    name = kafka.new_topic(retention_ms=60_000)
    before = _described(kafka, name)
    assert before["retention.ms"].value == "60000"
    assert not before["retention.ms"].is_default
    assert before["cleanup.policy"].value == "delete"
    assert before["max.message.bytes"].value == "1048588"
    changes = ConfigResource(
        ResourceType.TOPIC,
        name,
        incremental_configs=[
            ConfigEntry(
                "cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND
            ),
            ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE),
            ConfigEntry("segment.bytes", "2097152", incremental_operation=AlterConfigOpType.SET),
        ],
    )
    kafka.admin.incremental_alter_configs([changes])[changes].result(PATIENCE_S)
    until = time.monotonic() + PATIENCE_S
    # Apache Kafka's brokers learn of the change a moment after it is acknowledged.
    while (after := _described(kafka, name))["segment.bytes"].value != "2097152":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert set((after["cleanup.policy"].value or "").split(",")) == {"delete", "compact"}
    assert after["retention.ms"].value == "604800000"
    assert after["segment.bytes"].value == "2097152"
    wrong = ConfigResource(
        ResourceType.TOPIC,
        name,
        incremental_configs=[
            ConfigEntry("segment.bytes", "x", incremental_operation=AlterConfigOpType.SET)
        ],
    )
    refused = kafka.admin.incremental_alter_configs([wrong])[wrong]
    assert _refusal(refused) == KafkaError.INVALID_CONFIG
    assert _described(kafka, name)["segment.bytes"].value == "2097152"


def test_the_configuration_of_what_is_not_there(kafka: Kafka) -> None:
    resource = ConfigResource(ResourceType.TOPIC, kafka.new_name("missing"))
    future = kafka.admin.describe_configs([resource])[resource]
    assert _refusal(future) == KafkaError.UNKNOWN_TOPIC_OR_PART


async def test_a_topic_comes_into_being_by_being_used(kafka: Kafka) -> None:
    name = kafka.new_name("topic")
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        sent = await producer.send_and_wait(name, b"first")
    assert sent.offset == 0


async def test_every_version_of_metadata_answers(kafka: Kafka) -> None:
    name = kafka.new_topic(partitions=2)
    async with RawClient(kafka.bootstrap) as raw:
        newer = range(METADATA.oldest if kafka.is_ours else 4, METADATA.newest + 1)
        for version in newer:
            answer = await raw.call(METADATA, version, topics=[{"name": name}])
            (topic,) = answer["topics"]
            assert topic["name"] == name
            assert sorted(item["index"] for item in topic["partitions"]) == [0, 1]
            if version >= 10:
                by_id = [{"topic_id": topic["topic_id"], "name": None}]
                again = await raw.call(METADATA, 12, topics=by_id)
                assert again["topics"][0]["name"] == name
        missing = await raw.call(
            METADATA, 8, topics=[{"name": f"{name}-x"}], allow_auto_topic_creation=False
        )
        assert missing["topics"][0]["error_code"] == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


async def test_versions_that_we_speak_are_spoken_by_both(kafka: Kafka) -> None:
    async with RawClient(kafka.bootstrap) as raw:
        answer = await raw.call(
            API_VERSIONS, 3, client_software_name="test", client_software_version="1"
        )
    offered = {item["key"]: (item["oldest"], item["newest"]) for item in answer["apis"]}
    for api in APIS.values():
        oldest, newest = offered[api.key]
        # Apache Kafka 4 has given up the oldest ones (KIP-896).
        assert max(oldest, api.oldest) <= min(newest, api.newest), api.name
        assert newest >= api.newest, api.name


async def test_a_newer_version_question_is_answered_in_the_oldest(kafka: Kafka) -> None:
    async with RawClient(kafka.bootstrap) as raw:
        raw.writer.write(struct.pack(">ihhih", 10 + 1, 18, 99, 77, -1) + b"\0")
        frame = await asyncio.wait_for(raw.receive_frame(), PATIENCE_S)
        correlation_id, error, count = struct.unpack_from(">ihi", frame)
        assert (correlation_id, error) == (77, ErrorCode.UNSUPPORTED_VERSION)
        assert count >= 1
        versions = await raw.call(
            API_VERSIONS, 3, client_software_name="test", client_software_version="1"
        )
        assert versions["error_code"] == 0


async def test_an_unsupported_version_ends_the_connection(kafka: Kafka) -> None:
    async with RawClient(kafka.bootstrap) as raw:
        raw.send(FETCH, 99)
        assert await asyncio.wait_for(raw.reader.read(100), PATIENCE_S) == b""
