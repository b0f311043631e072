"""Clients that send nonsense, too much, or too fast: the broker serves the others."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer

from tests.embedded.broker.child import BrokerProcess
from tests.embedded.broker.raw_client import RawClient
from tests.waiting import PATIENCE_S
from trackstream.embedded.broker.protocol.records_apis import API_VERSIONS, FETCH, METADATA
from trackstream.embedded.broker.protocol.registry import APIS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path / "data", "--max-request-bytes", "1000000") as process:
        yield process
        assert "Traceback" not in process.log
        assert "failed" not in process.log


async def _still_serves(broker: BrokerProcess) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        await producer.send_and_wait("alive", b"x")


async def _closed_after(broker: BrokerProcess, data: bytes) -> None:
    async with RawClient(broker.bootstrap) as raw:
        raw.writer.write(data)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(raw.reader.read(1000), PATIENCE_S) == b""


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (struct.pack(">i", 1_000_001), "a request of 1000001 bytes"),
        (struct.pack(">i", -5), "a request of -5 bytes"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "bytes"),
        (struct.pack(">i", 3) + b"abc", "malformed"),
        (struct.pack(">ihhih", 10, 999, 0, 1, -1), "API 999"),
        (struct.pack(">ihhih", 10, 1, 99, 1, -1), "Fetch version 99"),
        (struct.pack(">ihhih", 10, 3, 4, 1, -1), "malformed"),
        (struct.pack(">ihhih", 10, 3, 4, 1, 500), "malformed"),
        # An array of two thousand million topics.
        (struct.pack(">ihhihi", 14, 3, 4, 1, -1, 2**31 - 1), "malformed"),
        # A name that is not UTF-8.
        (struct.pack(">ihhihih", 18, 3, 4, 1, -1, 1, 2) + b"\xff\xff", "malformed"),
    ],
)
async def test_nonsense_ends_its_connection(broker: BrokerProcess, data: bytes, said: str) -> None:
    await _closed_after(broker, data)
    assert "closing the connection" in broker.log
    assert said in broker.log
    await _still_serves(broker)


async def test_random_bodies_for_every_api(broker: BrokerProcess) -> None:
    chance = random.Random(7)
    for api in APIS.values():
        for version in {api.oldest, api.newest}:
            for size in (0, 1, 7, 40, 200):
                body = chance.randbytes(size)
                head = struct.pack(">hhih", api.key, version, 1, -1)
                frame = struct.pack(">i", len(head) + len(body)) + head + body
                async with RawClient(broker.bootstrap) as raw:
                    raw.writer.write(frame)
                    raw.writer.write_eof()
                    # Answered or closed; a join may wait for its group.
                    try:
                        await asyncio.wait_for(raw.reader.read(), 0.5)
                    except (ConnectionError, TimeoutError):
                        continue
    await _still_serves(broker)


async def test_connections_that_break_off(broker: BrokerProcess) -> None:
    whole = struct.pack(">ihhih", 11, 18, 0, 1, 1) + b"c"
    for cut in range(1, len(whole)):
        async with RawClient(broker.bootstrap) as raw:
            raw.writer.write(whole[:cut])
            await raw.writer.drain()
    await _still_serves(broker)


async def test_one_byte_at_a_time(broker: BrokerProcess) -> None:
    async with RawClient(broker.bootstrap) as raw:
        for byte in struct.pack(">ihhih", 11, 18, 0, 42, 1) + b"c":
            raw.writer.write(bytes([byte]))
            await raw.writer.drain()
            await asyncio.sleep(0.001)
        frame = await asyncio.wait_for(raw.receive_frame(), PATIENCE_S)
        assert struct.unpack_from(">ih", frame) == (42, 0)


async def test_answers_come_in_the_order_of_the_requests(broker: BrokerProcess) -> None:
    await _still_serves(broker)
    async with RawClient(broker.bootstrap) as raw:
        versions = {"client_software_name": "test", "client_software_version": "1"}
        for _ in range(500):
            raw.send(API_VERSIONS, 3, **versions)
            raw.send(METADATA, 9, topics=None)
        for number in range(500):
            for api, version in ((API_VERSIONS, 3), (METADATA, 9)):
                frame = await asyncio.wait_for(raw.receive_frame(), PATIENCE_S)
                expected = 2 * number + (1 if api is API_VERSIONS else 2)
                assert struct.unpack_from(">i", frame)[0] == expected, version


async def test_no_answer_overtakes_one_that_waits(broker: BrokerProcess) -> None:
    await _still_serves(broker)
    wanted = [{"index": 0, "fetch_offset": 1, "max_bytes": 1000}]
    async with RawClient(broker.bootstrap) as raw:
        raw.send(
            FETCH,
            4,
            replica_id=-1,
            max_wait_ms=400,
            min_bytes=1,
            max_bytes=1000,
            topics=[{"name": "alive", "partitions": wanted}],
        )
        raw.send(API_VERSIONS, 0)
        numbers = [struct.unpack_from(">i", await raw.receive_frame())[0] for _ in range(2)]
    assert numbers == [1, 2]


async def test_a_client_that_does_not_read_is_not_read_from(broker: BrokerProcess) -> None:
    async with RawClient(broker.bootstrap) as raw:
        flood = asyncio.create_task(_flood(raw))
        done, _ = await asyncio.wait([flood], timeout=1.5)
        # Far more than all socket buffers hold: the broker has stopped taking it.
        assert not done
        flood.cancel()
        await _still_serves(broker)
        raw.writer.transport.abort()


async def _flood(raw: RawClient) -> None:
    for _ in range(1000):
        for _ in range(200):
            raw.send(METADATA, 9, topics=[{"name": f"topic-{'x' * 150}"}])
        await raw.writer.drain()
