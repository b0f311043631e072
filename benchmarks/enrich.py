"""Stage "enrich": how many events a worker takes from `raw` to `events`, and what CPU that costs.

`raw` is filled first, then a worker is started as its own process; measured is from the moment
at which a tenth of the events is out until all are, so that start-up does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from trackstream import codec
from trackstream.core.records import Context, Envelope, RawEvent
from trackstream.embedded.kafka import EmbeddedKafka
from trackstream.settings import Settings
from trackstream.storage.topics import bootstrap_servers, ensure_topics

__all__ = ["Measured", "run"]

_TIMEOUT_S = 120.0
_AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run showed."""

    events: int
    per_envelope: int
    events_per_s: float
    cpu_us_per_event: float

    def __str__(self) -> str:
        return (
            f"enrich: {self.events} events, {self.per_envelope} per envelope: "
            f"{self.events_per_s:,.0f} events/s, {self.cpu_us_per_event:.1f} us CPU per event"
        )


def run(argv: list[str]) -> list[Measured]:
    """Measure with the numbers of events per envelope that are asked for, and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.pipeline enrich", description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--per-envelope", type=int, action="append")
    parser.add_argument("--subjects", type=int, default=2_000)
    parser.add_argument("--kafka-url", help="instead of an embedded broker")
    options = parser.parse_args(argv)
    results = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = options.kafka_url or stack.enter_context(EmbeddedKafka(folder)).url
        for per_envelope in options.per_envelope or [20, 1]:
            measured = _measure(url, folder, per_envelope, options)
            results.append(measured)
            print(measured, flush=True)
    return results


def _measure(url: str, folder: Path, per_envelope: int, options: argparse.Namespace) -> Measured:
    name = uuid4().hex[:8]
    settings = Settings(
        data_dir=folder / name, kafka_url=url, topic_prefix=f"b{name}.", worker_port=0
    )
    asyncio.run(_fill(settings, per_envelope, options))
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TRACKSTREAM_")}
    with subprocess.Popen(
        [sys.executable, "-m", "faust", "-A", "benchmarks.default_rules", "worker", "-l", "warn"],
        env={**environ, **settings.environ()},
        stdout=subprocess.DEVNULL,  # Faust's banner; what goes wrong is on standard error
    ) as worker:
        try:
            print(f"worker: pid {worker.pid}", file=sys.stderr)
            return asyncio.run(_watch(settings, worker.pid, per_envelope, options))
        finally:
            worker.terminate()
            worker.wait(20)


async def _fill(settings: Settings, per_envelope: int, options: argparse.Namespace) -> None:
    await ensure_topics(settings)
    now = time.time_ns() // 1_000_000
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers(settings.kafka_url),
        acks="all",
        linger_ms=20,
        max_batch_size=2**18,
    )
    async with producer:
        for i in range(options.events // per_envelope):
            envelope = _envelope(i, per_envelope, options.subjects, now)
            await producer.send(
                settings.topic_prefix + "raw",
                codec.encode(envelope),
                key=envelope.subject.encode(),
            )


def _envelope(i: int, per_envelope: int, subjects: int, now: int) -> Envelope:
    device = f"device-{i % subjects:08d}"
    events = [
        RawEvent(
            event_id=f"{i}-{j}",
            event="page_view" if j % 3 else "add_to_cart",
            timestamp_ms=now - 60_000 + i + j,
            device_id=device,
            user_id=f"user-{i % subjects}" if i % 2 else None,
            properties='{"product_id":"p123","price":49.99,"list":["a","b"]}',
            context=Context(
                app_version="1.2.3",
                os_name="iOS",
                os_version="17.4",
                locale="de-DE",
                page_url="https://shop.example/p/123?utm_source=news",
                page_title="Shoes",
            ),
        )
        for j in range(per_envelope)
    ]
    return Envelope(
        app_id="demo",
        subject=f"demo|device:{device}",
        received_at_ms=now + i,
        sent_at_ms=now + i,
        ip=f"81.2.{i % 200}.{i % 250}",
        user_agent=_AGENT,
        events=events,
    )


async def _watch(
    settings: Settings, pid: int, per_envelope: int, options: argparse.Namespace
) -> Measured:
    topic = settings.topic_prefix + "events"
    places = [TopicPartition(topic, i) for i in range(settings.topic_partitions)]
    worker = psutil.Process(pid)
    samples: list[tuple[float, float, int]] = []
    wanted = options.events // per_envelope * per_envelope
    began = time.monotonic()
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers(settings.kafka_url)
    ) as consumer:
        while not samples or samples[-1][2] < wanted:
            if time.monotonic() - began > _TIMEOUT_S or not worker.is_running():
                raise TimeoutError(f"{samples[-1][2] if samples else 0} of {wanted} events came")
            await asyncio.sleep(0.1)
            out = sum((await consumer.end_offsets(places)).values())
            cpu = worker.cpu_times()
            if out * 10 >= wanted:
                samples.append((time.monotonic(), cpu.user + cpu.system, out))
    (t0, cpu0, n0), (t1, cpu1, n1) = samples[0], samples[-1]
    return Measured(
        events=wanted,
        per_envelope=per_envelope,
        events_per_s=(n1 - n0) / (t1 - t0),
        cpu_us_per_event=(cpu1 - cpu0) / (n1 - n0) * 1e6,
    )
