"""Consumer groups: sharing, coming, going, dying, committing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as ConfluentPartition

from tests.embedded.broker.raw_client import RawClient
from tests.waiting import PATIENCE_S
from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.protocol.group_apis import (
    FIND_COORDINATOR,
    HEARTBEAT,
    JOIN_GROUP,
    LEAVE_GROUP,
    OFFSET_COMMIT,
    OFFSET_FETCH,
    SYNC_GROUP,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.embedded.broker.conftest import Kafka


_SESSION_MS = round(2000 * PATIENCE_S)
"""Longer than is waited for anything: no session ends by time, unless a test is about that."""


async def eventually(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - it is another program that changes
            await asyncio.sleep(0.02)


class _Counter(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is partly typed
    """Counts assignments."""

    def __init__(self) -> None:
        self.assignments = 0

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing to save."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.assignments += 1


@contextlib.asynccontextmanager
async def member(kafka: Kafka, topic: str, group: str, **more: Any) -> AsyncIterator[Any]:
    """A member of a group that reads a topic from its beginning."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=more.pop("session_timeout_ms", _SESSION_MS),
        heartbeat_interval_ms=100,
        metadata_max_age_ms=5000,
        **more,
    )
    consumer.counter = _Counter()
    consumer.subscribe([topic], listener=consumer.counter)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def test_two_members_share_and_one_leaves(kafka: Kafka) -> None:
    topic, group = kafka.new_topic(partitions=4), kafka.new_name("group")
    async with member(kafka, topic, group) as first:
        await eventually(lambda: len(first.assignment()) == 4)
        async with member(kafka, topic, group) as second:
            await eventually(lambda: len(first.assignment()) == len(second.assignment()) == 2)
            assert not first.assignment() & second.assignment()
        # Long before a session would time out: the leaving was heard.
        await eventually(lambda: len(first.assignment()) == 4)


async def test_a_dead_member_loses_its_partitions(kafka: Kafka) -> None:
    topic, group = kafka.new_topic(partitions=2), kafka.new_name("group")
    timeout_ms = kafka.session_timeout_ms
    async with member(kafka, topic, group, session_timeout_ms=timeout_ms) as alive:
        await eventually(lambda: len(alive.assignment()) == 2)
        async with RawClient(kafka.bootstrap) as raw:
            dying = asyncio.create_task(
                _join_raw(raw, group, timeout_ms, rebalance_timeout_ms=10_000)
            )
            joined = await asyncio.wait_for(dying, PATIENCE_S)
            assert joined["error_code"] == 0
            # It says nothing more.
        await eventually(lambda: len(alive.assignment()) == 2)
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
            for partition in range(2):
                await producer.send_and_wait(topic, b"x", partition=partition)
        read: set[int] = set()
        async with asyncio.timeout(PATIENCE_S):
            while read != {0, 1}:
                read.add((await alive.getone()).partition)


async def _coordinated(raw: RawClient, group: str) -> None:
    """Ask for the coordinator until it is there: Apache Kafka makes its topic at the first try."""
    async with asyncio.timeout(PATIENCE_S):
        while (  # noqa: ASYNC110 - it is another program that changes
            await raw.call(FIND_COORDINATOR, 2, key=group, key_type=0)
        )["error_code"]:
            await asyncio.sleep(0.1)


_NOT_YET = {14, 15, 16}
"""COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR."""


async def _join_raw(
    raw: RawClient, group: str, session_timeout_ms: int = _SESSION_MS, **more: Any
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "group_id": group,
        "session_timeout_ms": session_timeout_ms,
        "rebalance_timeout_ms": _SESSION_MS,
        "protocol_type": "consumer",
        "protocols": [{"name": "roundrobin", "metadata": b"\0\0\0\0\0\0\xff\xff\xff\xff"}],
        "member_id": "",
        "group_instance_id": None,
    } | more
    async with asyncio.timeout(PATIENCE_S):
        # Apache Kafka names a coordinator that has not read its part of the groups' topic yet.
        while (  # noqa: ASYNC110 - it is another program that changes
            answer := await raw.call(JOIN_GROUP, 5, **body)
        )["error_code"] in _NOT_YET:
            await asyncio.sleep(0.1)
    if answer["error_code"] == ErrorCode.MEMBER_ID_REQUIRED:
        body["member_id"] = answer["member_id"]
        answer = await raw.call(JOIN_GROUP, 5, **body)
    return answer


async def _stable(raw: RawClient, group: str, **more: Any) -> dict[str, Any]:
    """Join as the only member, and lead the group into its generation."""
    await _coordinated(raw, group)
    joined = await _join_raw(raw, group, **more)
    assert joined["error_code"] == 0
    synced = await raw.call(
        SYNC_GROUP,
        3,
        group_id=group,
        generation_id=joined["generation_id"],
        member_id=joined["member_id"],
        group_instance_id=more.get("group_instance_id"),
        assignments=[{"member_id": joined["member_id"], "assignment": b"work"}],
    )
    assert synced["error_code"] == 0
    assert bytes(synced["assignment"]) == b"work"
    return joined


def _commit(topic: str, group: str, joined: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "group_id": group,
        "generation_id": joined["generation_id"],
        "member_id": joined["member_id"],
        "group_instance_id": None,
        "topics": [{"name": topic, "partitions": [{"index": 0, "offset": 7, "metadata": "note"}]}],
    } | more


async def test_commits_of_others_are_fenced(kafka: Kafka) -> None:
    topic, group = kafka.new_topic(), kafka.new_name("group")
    async with RawClient(kafka.bootstrap) as raw:
        joined = await _stable(raw, group)
        stale = joined["generation_id"] - 1
        cases: list[tuple[dict[str, Any], ErrorCode]] = [
            ({"generation_id": stale}, ErrorCode.ILLEGAL_GENERATION),
            ({"member_id": "stranger"}, ErrorCode.UNKNOWN_MEMBER_ID),
            ({"generation_id": -1, "member_id": ""}, ErrorCode.UNKNOWN_MEMBER_ID),
            ({"group_instance_id": "stranger"}, ErrorCode.UNKNOWN_MEMBER_ID),
            ({}, ErrorCode.NONE),
        ]
        for more, error in cases:
            answer = await raw.call(OFFSET_COMMIT, 7, **_commit(topic, group, joined, **more))
            assert answer["topics"][0]["partitions"][0]["error_code"] == error, more
        for generation, member_id, error in (
            (stale, joined["member_id"], ErrorCode.ILLEGAL_GENERATION),
            (stale + 1, "stranger", ErrorCode.UNKNOWN_MEMBER_ID),
            (stale + 1, joined["member_id"], ErrorCode.NONE),
        ):
            answer = await raw.call(
                HEARTBEAT, 3, group_id=group, generation_id=generation, member_id=member_id
            )
            assert answer["error_code"] == error


async def test_a_second_member_makes_the_first_join_again(kafka: Kafka) -> None:
    group = kafka.new_name("group")
    async with RawClient(kafka.bootstrap) as first, RawClient(kafka.bootstrap) as second:
        joined = await _stable(first, group)
        other = asyncio.create_task(_join_raw(second, group))
        beat = {
            "group_id": group,
            "generation_id": joined["generation_id"],
            "member_id": joined["member_id"],
        }
        async with asyncio.timeout(PATIENCE_S):
            while (  # noqa: ASYNC110 - it is another program that changes
                await first.call(HEARTBEAT, 3, **beat)
            )["error_code"] == ErrorCode.NONE:
                await asyncio.sleep(0.02)
        again = await _join_raw(first, group, member_id=joined["member_id"])
        assert again["generation_id"] == (await other)["generation_id"]
        assert again["generation_id"] == joined["generation_id"] + 1
        assert len(again["members"]) == 2
        assert again["leader"] == joined["member_id"]
        left = await second.call(
            LEAVE_GROUP, 2, group_id=group, member_id=(await other)["member_id"]
        )
        assert left["error_code"] == 0


async def test_members_without_a_common_strategy_are_refused(kafka: Kafka) -> None:
    group = kafka.new_name("group")
    async with RawClient(kafka.bootstrap) as first, RawClient(kafka.bootstrap) as second:
        await _stable(first, group)
        wrong: list[dict[str, Any]] = [
            {"protocols": [{"name": "range", "metadata": b""}]},
            {"protocol_type": "connect"},
            {"protocols": []},
        ]
        for more in wrong:
            answer = await _join_raw(second, group, **more)
            assert answer["error_code"] == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        answer = await _join_raw(second, group, session_timeout_ms=1)
        assert answer["error_code"] == ErrorCode.INVALID_SESSION_TIMEOUT
        answer = await _join_raw(second, "")
        assert answer["error_code"] == ErrorCode.INVALID_GROUP_ID


async def test_a_static_member_comes_back_without_a_rebalance(kafka: Kafka) -> None:
    group = kafka.new_name("group")
    static: dict[str, Any] = {"group_instance_id": "worker-1"}
    async with RawClient(kafka.bootstrap) as raw:
        before = await _stable(raw, group, **static)
    async with RawClient(kafka.bootstrap) as raw:
        after = await _join_raw(raw, group, **static)
        assert after["error_code"] == 0
        assert after["generation_id"] == before["generation_id"]
        assert after["member_id"] != before["member_id"]
        # Not told that it leads, so that it does not assign what nobody would hear of.
        assert after["leader"] != after["member_id"]
        beat = {"group_id": group, "generation_id": after["generation_id"], **static}
        synced = await raw.call(SYNC_GROUP, 3, member_id=after["member_id"], **beat)
        assert bytes(synced["assignment"]) == b"work"
        # The one that it replaced is told so.
        fenced = await raw.call(HEARTBEAT, 3, member_id=before["member_id"], **beat)
        assert fenced["error_code"] == ErrorCode.FENCED_INSTANCE_ID
        fenced = await _join_raw(raw, group, member_id=before["member_id"], **static)
        assert fenced["error_code"] == ErrorCode.FENCED_INSTANCE_ID
        current = await raw.call(HEARTBEAT, 3, member_id=after["member_id"], **beat)
        assert current["error_code"] == 0
        removed = await raw.call(
            LEAVE_GROUP, 3, group_id=group, members=[{"member_id": "", **static}]
        )
        assert removed["members"][0]["error_code"] == 0


async def test_offsets_are_kept_for_the_next_member(kafka: Kafka) -> None:
    topic, group = kafka.new_topic(partitions=2), kafka.new_name("group")
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        for number in range(10):
            await producer.send_and_wait(topic, str(number).encode(), partition=0)
    async with member(kafka, topic, group) as consumer:
        assert [(await consumer.getone()).offset for _ in range(4)] == [0, 1, 2, 3]
        await consumer.commit({TopicPartition(topic, 0): (4, "so far")})
    async with member(kafka, topic, group) as consumer:
        assert (await consumer.getone()).offset == 4
        assert await consumer.committed(TopicPartition(topic, 0)) == 4
        assert await consumer.committed(TopicPartition(topic, 1)) is None
    async with RawClient(kafka.bootstrap) as raw:
        for version in (1, 2, 3, 5, 6, 7):
            asked = [{"name": topic, "partitions": [0, 1]}]
            answer = await raw.call(OFFSET_FETCH, version, group_id=group, topics=asked)
            partitions = answer["topics"][0]["partitions"]
            assert [item["offset"] for item in partitions] == [4, -1]
            assert partitions[0]["metadata"] == "so far"
        everything = await raw.call(OFFSET_FETCH, 7, group_id=group, topics=None)
        assert [item["index"] for item in everything["topics"][0]["partitions"]] == [0]


def test_groups_can_be_administered(kafka: Kafka) -> None:
    topic, group = kafka.new_topic(), kafka.new_name("group")
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": group, "client.id": "tester"}
    )
    consumer.subscribe([topic])
    deadline_s = time.monotonic() + PATIENCE_S
    while not consumer.assignment() and time.monotonic() < deadline_s:
        consumer.poll(0.1)
    described = kafka.admin.describe_consumer_groups([group])[group].result(PATIENCE_S)
    assert described.state.name == "STABLE"
    (only,) = described.members
    assert only.client_id == "tester"
    assert [place.topic for place in only.assignment.topic_partitions] == [topic]
    listed = {
        item.group_id: item for item in kafka.admin.list_consumer_groups().result(PATIENCE_S).valid
    }
    assert listed[group].state.name == "STABLE"
    consumer.commit(offsets=[ConfluentPartition(topic, 0, 0)], asynchronous=False)
    with pytest.raises(Exception, match="NON_EMPTY_GROUP"):
        kafka.admin.delete_consumer_groups([group])[group].result(PATIENCE_S)
    consumer.close()
    assert (
        kafka.admin.describe_consumer_groups([group])[group].result(PATIENCE_S).state.name
        == "EMPTY"
    )
    kafka.admin.delete_consumer_groups([group])[group].result(PATIENCE_S)
    with pytest.raises(Exception, match="GROUP_ID_NOT_FOUND"):
        kafka.admin.delete_consumer_groups([group])[group].result(PATIENCE_S)


def test_offsets_can_be_set_from_outside(kafka: Kafka) -> None:
    from confluent_kafka import ConsumerGroupTopicPartitions

    topic, group = kafka.new_topic(partitions=2), kafka.new_name("group")
    wanted = ConsumerGroupTopicPartitions(
        group, [ConfluentPartition(topic, 0, 5), ConfluentPartition(topic, 1, 6)]
    )
    kafka.admin.alter_consumer_group_offsets([wanted])[group].result(PATIENCE_S)
    asked = ConsumerGroupTopicPartitions(group)
    result = kafka.admin.list_consumer_group_offsets([asked])[group].result(PATIENCE_S)
    offsets = {place.partition: place.offset for place in result.topic_partitions}
    assert offsets == {0: 5, 1: 6}
