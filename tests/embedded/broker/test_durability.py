"""A crash, a torn write, a disk that refuses, a second start: nothing promised is lost."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from tests.embedded.broker.child import BrokerProcess
from tests.embedded.broker.raw_client import RawClient, batch
from tests.waiting import PATIENCE_S
from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.protocol.group_apis import (
    HEARTBEAT,
    JOIN_GROUP,
    OFFSET_COMMIT,
    OFFSET_FETCH,
    SYNC_GROUP,
)
from trackstream.embedded.broker.protocol.records_apis import LIST_OFFSETS, PRODUCE
from trackstream.embedded.broker.protocol.transaction_apis import (
    ADD_PARTITIONS_TO_TXN,
    END_TXN,
    INIT_PRODUCER_ID,
)

if TYPE_CHECKING:
    from pathlib import Path

    from aiokafka.structs import RecordMetadata

TOPIC = "events"


async def _read_all(bootstrap: str, partitions: int, isolation: str) -> dict[int, list[bytes]]:
    """Read every partition up to its end."""
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level=isolation, auto_offset_reset="earliest"
    ) as consumer:
        places = [TopicPartition(TOPIC, number) for number in range(partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        values: dict[int, list[bytes]] = {number: [] for number in range(partitions)}
        async with asyncio.timeout(PATIENCE_S):
            while any([await consumer.position(place) < ends[place] for place in places]):
                for place, records in (await consumer.getmany(timeout_ms=200)).items():
                    values[place.partition] += [record.value for record in records]
        return values


async def _load(bootstrap: str, first: int, acknowledged: list[tuple[int, int, int]]) -> None:
    """Produce until the broker is gone; note (partition, offset, number) of each success."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, request_timeout_ms=3000, retry_backoff_ms=50
    )
    await producer.start()

    def note(number: int, future: asyncio.Future[RecordMetadata]) -> None:
        if not future.cancelled() and future.exception() is None:
            sent = future.result()
            acknowledged.append((sent.partition, sent.offset, number))

    try:
        for number in range(first, first + 1_000_000):
            value = str(number).encode()
            future = await producer.send(TOPIC, value, partition=number % 3)
            future.add_done_callback(lambda future, number=number: note(number, future))
            if number % 50 == 0:
                await asyncio.sleep(0)
    except KafkaError:
        pass
    finally:
        await producer.stop()


async def test_what_was_acknowledged_survives_kills_in_order(tmp_path: Path) -> None:
    acknowledged: list[tuple[int, int, int]] = []
    arguments = ["--topic-default", "segment.bytes=60000", "--default-partitions", "3"]
    for round_number in range(3):
        with BrokerProcess(tmp_path / "data", *arguments) as broker:
            before = len(acknowledged)
            load = asyncio.create_task(
                _load(broker.bootstrap, round_number * 1_000_000, acknowledged)
            )
            async with asyncio.timeout(PATIENCE_S):
                while len(acknowledged) < before + 2000:  # noqa: ASYNC110 - filled by callbacks
                    await asyncio.sleep(0.01)
            broker.kill()
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
    with BrokerProcess(tmp_path / "data", *arguments) as broker:
        values = await _read_all(broker.bootstrap, 3, "read_uncommitted")
        log = broker.log
    assert len(acknowledged) >= 6000
    for partition, offset, number in acknowledged:
        assert values[partition][offset] == str(number).encode()
    for found in values.values():
        numbers = [int(value) for value in found]
        assert numbers == sorted(set(numbers))
    assert "Traceback" not in log


def test_a_torn_tail_is_cut_off(tmp_path: Path) -> None:
    async def write(bootstrap: str, *values: bytes) -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for value in values:
                await producer.send_and_wait(TOPIC, value)

    with BrokerProcess(tmp_path / "data") as broker:
        asyncio.run(write(broker.bootstrap, b"one", b"two"))
        broker.kill()
    log_path = tmp_path / "data" / "topics" / f"{TOPIC}-0" / f"{0:020d}.log"
    whole = log_path.read_bytes()
    for torn in (whole[:40], batch(b"x")[:-1], b"\0" * 200, batch(b"x")[:-1] + b"?"):
        log_path.write_bytes(whole + torn)
        with BrokerProcess(tmp_path / "data") as broker:
            assert f"cutting off {len(torn)} bytes" in broker.log
            values = asyncio.run(_read_all(broker.bootstrap, 1, "read_uncommitted"))
            assert values == {0: [b"one", b"two"]}
            broker.kill()
        assert log_path.read_bytes() == whole


async def test_groups_offsets_and_sequences_survive_a_kill(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path / "data") as broker:
        async with RawClient(broker.bootstrap) as raw:
            identity = await raw.call(INIT_PRODUCER_ID, 1, transaction_timeout_ms=1000)
            producer = (identity["producer_id"], identity["producer_epoch"])
            await _create_by_metadata(broker)
            for sequence in range(3):
                await _produce(raw, batch(b"x", producer=producer, sequence=sequence))
            joined = await _join(raw)
            commit = [{"name": TOPIC, "partitions": [{"index": 0, "offset": 2, "metadata": "m"}]}]
            membership = {
                "group_id": "group",
                "generation_id": joined["generation_id"],
                "member_id": joined["member_id"],
            }
            await raw.call(OFFSET_COMMIT, 3, topics=commit, **membership)
        broker.kill()
    with BrokerProcess(tmp_path / "data") as broker:
        async with RawClient(broker.bootstrap) as raw:
            beat = await raw.call(HEARTBEAT, 1, **membership)
            assert beat["error_code"] == 0
            synced = await raw.call(SYNC_GROUP, 1, assignments=[], **membership)
            assert bytes(synced["assignment"]) == b"work"
            fetched = await raw.call(OFFSET_FETCH, 3, group_id="group", topics=None)
            assert fetched["topics"][0]["partitions"][0]["offset"] == 2
            again = await _produce(raw, batch(b"x", producer=producer, sequence=1))
            assert (again["error_code"], again["base_offset"]) == (0, 1)
            gap = await _produce(raw, batch(b"x", producer=producer, sequence=7))
            assert gap["error_code"] == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
            fresh = await raw.call(INIT_PRODUCER_ID, 1, transaction_timeout_ms=1000)
            assert fresh["producer_id"] != producer[0]


async def test_transactions_survive_a_kill(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path / "data") as broker:
        await _create_by_metadata(broker)
        async with RawClient(broker.bootstrap) as raw:
            producers = {}
            for name in ("commits", "waits"):
                producers[name] = producer = await _begin(raw, name)
                sent = batch(name.encode(), producer=producer, sequence=0, attributes=0x10)
                assert (await _produce(raw, sent, name))["error_code"] == 0
            await _end(raw, "commits", producers["commits"])
        broker.kill()
    with BrokerProcess(tmp_path / "data") as broker:
        async with RawClient(broker.bootstrap) as raw:
            stable = await raw.call(
                LIST_OFFSETS,
                2,
                replica_id=-1,
                isolation_level=1,
                topics=[{"name": TOPIC, "partitions": [{"index": 0, "timestamp": -1}]}],
            )
            # The open transaction still is, and the committed one's marker is behind its record.
            assert stable["topics"][0]["partitions"][0]["offset"] == 1
            await _end(raw, "waits", producers["waits"])
        values = await _read_all(broker.bootstrap, 1, "read_committed")
        assert values == {0: [b"commits", b"waits"]}


async def test_a_transaction_that_takes_too_long_is_aborted(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path / "data") as broker:
        await _create_by_metadata(broker)
        async with RawClient(broker.bootstrap) as raw:
            producer = await _begin(raw, "slow", timeout_ms=300)
            sent = batch(b"slow", producer=producer, sequence=0, attributes=0x10)
            assert (await _produce(raw, sent, "slow"))["error_code"] == 0
            plain = batch(b"plain")
            assert (await _produce(raw, plain))["error_code"] == 0
            async with asyncio.timeout(PATIENCE_S):
                while "transaction slow timed out" not in broker.log:  # noqa: ASYNC110 - a file
                    await asyncio.sleep(0.05)
            values = await _read_all(broker.bootstrap, 1, "read_committed")
            assert values == {0: [b"plain"]}
            # The slow producer is fenced off: what it goes on with is not lost unseen.
            ended = await raw.call(
                END_TXN,
                2,
                transactional_id="slow",
                producer_id=producer[0],
                producer_epoch=producer[1],
                committed=True,
            )
            assert ended["error_code"] == ErrorCode.PRODUCER_FENCED


async def _create_by_metadata(broker: BrokerProcess) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        await producer.partitions_for(TOPIC)


async def _produce(
    raw: RawClient, records: bytes, transactional_id: str | None = None
) -> dict[str, Any]:
    answer = await raw.call(
        PRODUCE,
        8,
        transactional_id=transactional_id,
        acks=-1,
        timeout_ms=1000,
        topics=[{"name": TOPIC, "partitions": [{"index": 0, "records": records}]}],
    )
    result: dict[str, Any] = answer["topics"][0]["partitions"][0]
    return result


async def _join(raw: RawClient) -> dict[str, Any]:
    joined = await raw.call(
        JOIN_GROUP,
        1,
        group_id="group",
        session_timeout_ms=10_000,
        rebalance_timeout_ms=10_000,
        member_id="",
        protocol_type="consumer",
        protocols=[{"name": "range", "metadata": b""}],
    )
    assignment = [{"member_id": joined["member_id"], "assignment": b"work"}]
    await raw.call(
        SYNC_GROUP,
        1,
        group_id="group",
        generation_id=joined["generation_id"],
        member_id=joined["member_id"],
        assignments=assignment,
    )
    return joined


async def _begin(raw: RawClient, name: str, timeout_ms: int = 60_000) -> tuple[int, int]:
    identity = await raw.call(
        INIT_PRODUCER_ID, 1, transactional_id=name, transaction_timeout_ms=timeout_ms
    )
    producer = (identity["producer_id"], identity["producer_epoch"])
    await raw.call(
        ADD_PARTITIONS_TO_TXN,
        1,
        transactional_id=name,
        producer_id=producer[0],
        producer_epoch=producer[1],
        topics=[{"name": TOPIC, "partitions": [0]}],
    )
    return producer


async def _end(raw: RawClient, name: str, producer: tuple[int, int]) -> None:
    answer = await raw.call(
        END_TXN,
        1,
        transactional_id=name,
        producer_id=producer[0],
        producer_epoch=producer[1],
        committed=True,
    )
    assert answer["error_code"] == 0


def test_a_clean_stop_needs_no_scan_and_exits_with_0(tmp_path: Path) -> None:
    async def write(bootstrap: str) -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            await producer.send_and_wait(TOPIC, b"x")

    with BrokerProcess(tmp_path / "data") as broker:
        asyncio.run(write(broker.bootstrap))
        assert broker.stop() == 0
    partition = tmp_path / "data" / "topics" / f"{TOPIC}-0"
    assert (partition / f"{0:020d}.index").exists()
    assert (partition / "state.json").exists()
    with BrokerProcess(tmp_path / "data") as broker:
        assert asyncio.run(_read_all(broker.bootstrap, 1, "read_committed")) == {0: [b"x"]}


def test_two_brokers_cannot_share_a_directory(tmp_path: Path) -> None:
    with (
        BrokerProcess(tmp_path / "data"),
        pytest.raises(RuntimeError, match="another broker is using"),
    ):
        BrokerProcess(tmp_path / "data")


def test_a_directory_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "broker.json").write_text('{"format": 99, "cluster_id": "x"}')
    with pytest.raises(RuntimeError, match="format 99"):
        BrokerProcess(tmp_path / "data")


def test_a_port_in_use_is_said_so(tmp_path: Path) -> None:
    with (
        BrokerProcess(tmp_path / "one") as broker,
        pytest.raises(RuntimeError, match="cannot listen"),
    ):
        BrokerProcess(tmp_path / "two", "--port", str(broker.port))


async def test_each_acknowledgement_can_wait_for_the_disk(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path / "data", "--fsync-interval-ms", "0") as broker:
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            sent = [await producer.send_and_wait(TOPIC, b"x") for _ in range(5)]
        assert [item.offset for item in sent] == [0, 1, 2, 3, 4]


async def test_a_disk_that_refuses_is_answered_and_logged(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path / "data", "--topic-default", "segment.bytes=100") as broker:
        await _create_by_metadata(broker)
        async with RawClient(broker.bootstrap) as raw:
            assert (await _produce(raw, batch(b"before")))["base_offset"] == 0
            # The next batch needs a new segment file, in a folder that is not there any more.
            folder = tmp_path / "data" / "topics" / f"{TOPIC}-0"
            aside = shutil.move(folder, tmp_path / "aside")
            refused = await _produce(raw, batch(b"refused"))
            assert refused["error_code"] == ErrorCode.KAFKA_STORAGE_ERROR
            assert "No such file" in refused["error_message"]
            shutil.move(aside, folder)
            assert (await _produce(raw, batch(b"after")))["base_offset"] == 1
        assert "append failed" in broker.log
        assert "Traceback" not in broker.log
        values = await _read_all(broker.bootstrap, 1, "read_uncommitted")
        assert values == {0: [b"before", b"after"]}
