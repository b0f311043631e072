"""Workers as processes, and the log as a test sees it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.ports import free_port
from tests.waiting import PATIENCE_S
from trackstream import codec
from trackstream.core.identifiers import scoped
from trackstream.core.records import Envelope, RawEvent, Referral, Touch
from trackstream.core.touches import subject_of_touch
from trackstream.storage.topics import bootstrap_servers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackstream.core.records import Record
    from trackstream.settings import Settings

__all__ = [
    "Log",
    "Worker",
    "click",
    "envelope",
    "now_ms",
    "settled",
    "until_all_own",
    "until_shown",
]

R = TypeVar("R")


@dataclass
class Worker:
    """`faust -A trackstream worker` as a process of its own; without PostgreSQL, default rules."""

    settings: Settings
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    """The newest one started."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def _app(self) -> str:
        return "trackstream" if self.settings.postgres_url else "tests.agents.default_rules"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> Self:
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        environ = {k: v for k, v in os.environ.items() if not k.startswith("TRACKSTREAM_")}
        with (self.folder / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "faust", "-A", self._app),
                    *("-D", str(self.folder / "state"), "worker", "-l", "info"),
                    *("--web-port", str(self.port)),
                ],
                env={**environ, **self.settings.environ()},
                stdout=log,
                stderr=log,
            )

    def wait_ready(self) -> None:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            assert self.running, self.log()
            with suppress(OSError):
                if self.get("/health/ready")[0] == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"not ready in {PATIENCE_S} s:\n{self.log()}")

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        with suppress(msgspec.DecodeError):
            return status, msgspec.json.decode(body)
        return status, body.decode()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"not gone in {PATIENCE_S} s:\n{self.log()}") from None

    def log(self) -> str:
        return (self.folder / "worker.log").read_text("utf-8", "replace")[-200_000:]


class Log:
    """Writes to the source topics, reads what comes out from the beginning."""

    def __init__(self, settings: Settings) -> None:
        servers = bootstrap_servers(settings.kafka_url)
        self._prefix = settings.topic_prefix
        self._partitions = settings.topic_partitions
        self._producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=servers, auto_offset_reset="earliest", fetch_max_wait_ms=100
        )
        self.records: defaultdict[str, list[Record]] = defaultdict(list)

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._consumer.start()
        outputs = ("events", "sessions", "attributions", "persons", "rejected")
        places = [
            TopicPartition(self._prefix + topic, partition)
            for topic in outputs
            for partition in range(self._partitions)
        ]
        self._consumer.assign(places)
        await self._consumer.seek_to_beginning(*places)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._producer.stop()

    async def write(self, topic: str, key: str, *values: Record | bytes) -> None:
        for value in values:
            data = value if isinstance(value, bytes) else codec.encode(value)
            await self._producer.send(self._prefix + topic, data, key=key.encode())

    async def post(self, *envelopes: Envelope) -> None:
        for one in envelopes:
            await self.write("raw", one.subject, one)
        await self._producer.flush()

    async def touch(self, *touches: Touch) -> None:
        """As the collector writes them."""
        for one in touches:
            for identifier in one.identifiers:
                await self.write("identity", scoped(one.app_id, identifier), one)
            subject = subject_of_touch(one)
            if subject is not None:
                await self.write("raw", subject, one)
        await self._producer.flush()

    async def until(self, look: Callable[[Log], R | None], *, timeout_s: float = PATIENCE_S) -> R:
        """Read on until `look` returns something true; that."""
        until = time.monotonic() + timeout_s
        while not (found := look(self)):
            held = {topic: len(records) for topic, records in self.records.items()}
            assert time.monotonic() < until, f"not in {timeout_s} s; read so far: {held}"
            await self._take(200)
        return found

    async def all_so_far(self) -> None:
        """Read what has been written by now, and wait for no more."""
        places = self._consumer.assignment()
        ends = await self._consumer.end_offsets(places)
        while [one for one in places if await self._consumer.position(one) < ends[one]]:
            await self._take(100)

    async def _take(self, timeout_ms: int) -> None:
        for place, messages in (await self._consumer.getmany(timeout_ms=timeout_ms)).items():
            topic = place.topic.removeprefix(self._prefix)
            self.records[topic] += [codec.decode(one.value) for one in messages]

    def of(self, kind: type[R]) -> list[R]:
        """All records of a class that came so far."""
        return [one for held in self.records.values() for one in held if isinstance(one, kind)]


def settled(ask: Callable[[], R], wanted: Callable[[R], bool]) -> R:
    """What is answered once it is as wanted, or after long whatever it is: for a test to compare.

    What a worker shows follows a moment after what it writes: its tables change when that is
    acknowledged, its metrics when all of the batch is.
    """
    until = time.monotonic() + PATIENCE_S
    while not wanted(answer := ask()) and time.monotonic() < until:
        time.sleep(0.05)
    return answer


async def until_all_own(*workers: Worker, **headers: str) -> None:
    """Wait until each of these workers has partitions and is ready.

    Args:
        workers: They run.
        headers: Of a request for metrics.
    """

    def owns(worker: Worker) -> bool:
        assert worker.running, worker.log()
        own = 'trackstream_partitions{topic="' in worker.get("/metrics", **headers)[1]
        return own and worker.get("/health/ready")[0] == 200

    all_own = await asyncio.to_thread(settled, lambda: all(map(owns, workers)), bool)
    assert all_own, [worker.log() for worker in workers]


def until_shown(worker: Worker, subjects: list[str], **headers: str) -> None:
    """Wait until a worker shows these visitors, whichever worker has them."""
    for subject in subjects:
        path = f"/tables/visitors/{quote(subject)}"
        status, shown = settled(
            partial(worker.get, path, **headers), lambda answer: answer[0] == 200
        )
        assert (status, shown.get("key")) == (200, subject), shown


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def click(name: str, *, campaign_id: str = "cmp001", ago_ms: int = 60_000) -> Touch:
    """A click with an id made of the name."""
    return Touch(
        touch_id=f"touch-{name}",
        app_id="demo",
        kind="click",
        at_ms=now_ms() - ago_ms,
        identifiers=[f"click:{name}", f"cookie:{name}"],
        click_id=name,
        campaign_id=campaign_id,
    )


def envelope(
    device: str, *events: str, click_id: str | None = None, at_ms: int | None = None
) -> Envelope:
    """One request of a device; an event's id is made of its name and the device."""
    at = now_ms() if at_ms is None else at_ms
    return Envelope(
        app_id="demo",
        subject=f"demo|device:{device}",
        received_at_ms=at,
        ip="81.2.69.142",
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        events=[
            RawEvent(
                event_id=f"{device}-{name}",
                event=name,
                timestamp_ms=at + i,
                device_id=device,
                referral=Referral(click_id=click_id) if click_id else None,
            )
            for i, name in enumerate(events)
        ],
    )
