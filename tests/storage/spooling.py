"""A spool for a test, before a Kafka that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.waiting import PATIENCE_S
from trackstream.ports import Undelivered
from trackstream.storage.log_sink import UnwritableError
from trackstream.storage.spool import SpooledSink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trackstream.settings import Settings
    from trackstream.storage.spool.rows import Message

HOUR_MS = 3_600_000


@dataclass
class Kafka:
    """`ports.Sink` that can be away, hang, and refuse a value for good."""

    away: bool = False
    hangs: bool = False
    slow_s: float = 0
    ready: bool = True
    unwritable: bytes | None = None
    most_bytes: int | None = None
    written: list[Message] = field(default_factory=list)
    calls: int = 0

    async def send(self, messages: list[Message]) -> None:
        self.calls += 1
        if self.hangs:
            await asyncio.sleep(PATIENCE_S)
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if self.away:
            raise Undelivered("away")
        if any(value == self.unwritable for _, _, value in messages):
            raise UnwritableError("not this")
        if self.most_bytes and any(len(value) > self.most_bytes for _, _, value in messages):
            raise UnwritableError("too large")
        self.written += messages

    def values(self) -> list[bytes]:
        return [value for _, _, value in self.written]


@contextlib.asynccontextmanager
async def started(
    kafka: Kafka, settings: Settings, clock_ms: Callable[[], int] = lambda: 1_000
) -> AsyncIterator[SpooledSink]:
    sink = SpooledSink(kafka, settings, ready=lambda: kafka.ready, clock_ms=clock_ms)
    await sink.start()
    try:
        yield sink
    finally:
        await sink.stop()


def one(value: bytes, topic: str = "raw") -> list[Message]:
    return [(topic, b"k", value)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the spool has no event for tests
            await asyncio.sleep(0.01)
