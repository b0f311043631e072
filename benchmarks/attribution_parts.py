"""What the attribution benchmark reads: attributions as they arrive, and the worker's state."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import rocksdict
from aiokafka import AIOKafkaProducer
from confluent_kafka import Consumer, TopicPartition

from tables.store import StoreOptions
from trackstream import codec
from trackstream.core.lookups import UserAgent
from trackstream.core.records import Attribution
from trackstream.core.touches import Visit, keys_of, touch_of
from trackstream.ports import TrackingLink
from trackstream.storage.topics import bootstrap_servers

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Arrivals", "state_bytes", "unfollowed"]

_PREFIX = "trackstream."


class Arrivals:
    """When each install's first attribution arrived, read by a thread of its own from now on."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": ",".join(bootstrap_servers(ready["kafka"])),
                "group.id": "benchmark",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 100,
            }
        )
        self._times: dict[str, float] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._loop: asyncio.AbstractEventLoop

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        topic = f"{_PREFIX}attributions"
        partitions = self._consumer.list_topics(topic, 10).topics[topic].partitions
        places = [TopicPartition(topic, number) for number in partitions]
        for place in places:
            place.offset = self._consumer.get_watermark_offsets(place, 10)[1]
        self._consumer.assign(places)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending.set()
        await asyncio.to_thread(self._thread.join)
        self._consumer.close()

    async def of(self, event_id: str, patience_s: float) -> float:
        """When it arrived, by `time.perf_counter`.

        Raises:
            TimeoutError: It has not arrived in that time.
        """
        if event_id not in self._times:
            waiting = self._waiting[event_id] = self._loop.create_future()
            if event_id not in self._times:
                await asyncio.wait_for(waiting, patience_s)
        return self._times[event_id]

    def _read(self) -> None:
        while not self._ending.is_set():
            for message in self._consumer.consume(500, 0.002):
                now_s = time.perf_counter()
                record = codec.decode(message.value() or b"")
                if isinstance(record, Attribution) and record.event_id not in self._times:
                    self._times[record.event_id] = now_s
                    self._loop.call_soon_threadsafe(self._arrived, record.event_id)

    def _arrived(self, event_id: str) -> None:
        waiting = self._waiting.pop(event_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)


async def unfollowed(ready: dict[str, Any], count: int) -> set[bytes]:
    """Write clicks that no install will follow, as the collector does; all of their keys."""
    link = TrackingLink(
        link_id="5f0c7c1e9b1e4c55",
        slug="spring",
        app_id=ready["app_id"],
        campaign_id="spring_sale",
        channel="paid_social",
        network="metagram",
        web_url="https://shop.example.com/spring",
    )
    agent = UserAgent(os_name="Android", os_version="14", device_model="Pixel 8")
    keys: set[bytes] = set()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers(ready["kafka"]), linger_ms=5)
    async with producer:
        for number in range(count):
            touch_id = f"{number:032x}"
            visit = Visit(
                at_ms=time.time_ns() // 1_000_000,
                ip=f"10.{number >> 8 & 255}.{number & 255}.7",
                user_agent="Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 "
                "(KHTML, like Gecko) Chrome/129.0.6668.70 Mobile Safari/537.36",
                agent=agent,
                language="de-DE",
                cookie_id=f"{number:022x}",
            )
            query = {"gaid": f"38400000-8cf0-11bd-b23e-{number:012x}", "creative": "blue-1"}
            touch = touch_of(
                "click",
                link,
                visit,
                query,
                touch_id=touch_id,
                click_id=touch_id,
                destination=link.web_url,
            )
            value = codec.encode(touch)
            for key in keys_of(touch):
                keys.add(key.encode())
                await producer.send(f"{_PREFIX}identity", value, key=key.encode())
    return keys


def state_bytes(data_dir: Path, keys: set[bytes]) -> tuple[int, int]:
    """What a stopped worker holds of these keys: serialised, and in RocksDB's files.

    The latter is the serialised size times what RocksDB makes of the whole table.

    Raises:
        RuntimeError: It does not hold all of them.
    """
    found = mine = every = stored = 0
    for path in sorted(data_dir.glob("worker/*/tables/touchpoints-*.db")):
        database = rocksdict.Rdict(str(path), StoreOptions(8).as_options())
        try:
            for key, value in database.items():
                assert isinstance(key, bytes)
                assert isinstance(value, bytes)
                size = len(key) + len(value)
                every += size
                if key in keys:
                    found += 1
                    mine += size
            database.flush()
            database.compact_range(None, None)
            stored += database.property_int_value("rocksdb.total-sst-files-size") or 0
        finally:
            database.close()
    if found < len(keys):
        raise RuntimeError(f"the worker holds {found} of {len(keys)} identifiers")
    return mine, round(mine * stored / every)
