"""What a collector wrote to the log, by app."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from aiokafka import AIOKafkaConsumer

from tests.waiting import PATIENCE_S
from trackstream import codec
from trackstream.core.records import Envelope, Rejected

if TYPE_CHECKING:
    from trackstream.settings import Settings

T = TypeVar("T", Envelope, Rejected)


@dataclass
class Collected:
    """A running collector and the write key of each app.

    Attributes:
        settings: the collector's.
        keys: write keys that no test has taken yet, by app.
    """

    settings: Settings
    keys: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.collector_port}"

    def take_app(self) -> tuple[str, str]:
        """An app of one's own and its write key."""
        return self.keys.popitem()

    async def envelopes(
        self, app_id: str, *, events: int, timeout_s: float = PATIENCE_S
    ) -> list[Envelope]:
        """Everything of the app, as soon as there are so many different events of it."""
        async with asyncio.timeout(timeout_s):
            while True:
                found = [one for one in await self._all("raw", Envelope) if one.app_id == app_id]
                if len({event.event_id for one in found for event in one.events}) >= events:
                    return found
                await asyncio.sleep(0.2)

    async def rejected(self, app_id: str) -> list[list[str]]:
        """The reasons for which something of the app was refused."""
        found = await self._all("rejected", Rejected)
        return [one.reasons for one in found if one.app_id == app_id]

    async def _all(self, topic: str, kind: type[T]) -> list[T]:
        consumer = AIOKafkaConsumer(
            f"{self.settings.topic_prefix}{topic}",
            bootstrap_servers=(self.settings.kafka_url or "").removeprefix("kafka://"),
            auto_offset_reset="earliest",
            group_id=None,
        )
        await consumer.start()
        try:
            ends = await consumer.end_offsets(sorted(consumer.assignment()))
            found: list[T] = []
            while any([await consumer.position(one) < end for one, end in ends.items()]):
                batches = await consumer.getmany(timeout_ms=200)
                values = [codec.decode(one.value) for some in batches.values() for one in some]
                found += [one for one in values if isinstance(one, kind)]
            return found
        finally:
            await consumer.stop()
