"""How fast the embedded broker takes, gives and hands on messages.

Throughput is measured with librdkafka, whose own cost is small; latency with aiokafka, which
the service uses: from `send` in one client to the record's arrival in another. The latter has one
partition, because aiokafka leaves a partition out of a fetch while its last records are unread,
and that fetch then waits for the others: a matter of the client, not of the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as AioTopicPartition
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTITIONS = 4
_READ_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Result:
    """Messages per second in and out, and latencies from send to arrival in ms."""

    in_per_s: float
    out_per_s: float
    p50_ms: float
    p99_ms: float


@contextlib.contextmanager
def _broker() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "trackstream.embedded.broker", "--data-dir", directory]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            try:
                ready = json.loads(process.stdout.readline())
                yield f"{ready['host']}:{ready['port']}"
            finally:
                process.terminate()


def run(*, messages: int = 200_000, size_bytes: int = 200, latencies: int = 500) -> Result:
    """Measure a broker of its own, print the figures and return them."""
    with _broker() as bootstrap:
        _create(bootstrap, {"throughput": _PARTITIONS, "latency": 1})
        in_s = _produce(bootstrap, messages, size_bytes)
        out_s = _consume(bootstrap, messages)
        latencies_ms = asyncio.run(_latencies(bootstrap, latencies, size_bytes))
    percentiles = statistics.quantiles(latencies_ms, n=100)
    result = Result(messages / in_s, messages / out_s, percentiles[49], percentiles[98])
    print(f"in       {result.in_per_s:10,.0f} messages/s of {size_bytes} B")
    print(f"out      {result.out_per_s:10,.0f} messages/s")
    print(f"latency  {result.p50_ms:10.2f} ms p50, {result.p99_ms:.2f} ms p99, send to arrival")
    return result


def _create(bootstrap: str, partitions: dict[str, int]) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = [NewTopic(name, count, 1) for name, count in partitions.items()]
    for created in admin.create_topics(topics).values():
        created.result()


def _produce(bootstrap: str, messages: int, size_bytes: int) -> float:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "linger.ms": 5,
            "queue.buffering.max.messages": messages + 1,
        }
    )
    value = b"x" * size_bytes
    began_s = time.perf_counter()
    for number in range(messages):
        producer.produce("throughput", value, partition=number % _PARTITIONS)
    left = producer.flush(60)
    if left:
        raise RuntimeError(f"{left} messages were not acknowledged")
    return time.perf_counter() - began_s


def _consume(bootstrap: str, messages: int) -> float:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "benchmark"})
    consumer.assign([TopicPartition("throughput", number, 0) for number in range(_PARTITIONS)])
    consumer.poll(0)
    began_s = time.perf_counter()
    read = 0
    try:
        while read < messages and time.perf_counter() - began_s < _READ_TIMEOUT_S:
            read += sum(not message.error() for message in consumer.consume(10_000, 0.5))
    finally:
        consumer.close()
    if read < messages:
        raise RuntimeError(f"only {read} of {messages} messages arrived")
    return time.perf_counter() - began_s


async def _latencies(bootstrap: str, count: int, size_bytes: int) -> list[float]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    consumer = AIOKafkaConsumer("latency", bootstrap_servers=bootstrap)
    await producer.start()
    await consumer.start()
    await consumer.position(AioTopicPartition("latency", 0))
    measured = []
    try:
        for number in range(count + 20):
            began_s = time.perf_counter()
            await producer.send("latency", b"x" * size_bytes)
            await consumer.getone()
            # The first ones pay for connections.
            if number >= 20:
                measured.append((time.perf_counter() - began_s) * 1000)
    finally:
        await consumer.stop()
        await producer.stop()
    return measured


if __name__ == "__main__":
    run()
