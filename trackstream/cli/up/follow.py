"""Attributions as they are made, read from their topic."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition

from trackstream.codec import UndecodableError, decode
from trackstream.core.records import Attribution

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trackstream.settings import Settings

__all__ = ["attributions"]

_STOP_S = 3.0


@contextlib.asynccontextmanager
async def attributions(settings: Settings) -> AsyncIterator[AsyncIterator[Attribution]]:
    """Inside the block: every attribution that is made from its beginning on, without end."""
    from trackstream.storage.topics import bootstrap_servers

    topic = settings.topic_prefix + "attributions"
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers(settings.kafka_url), enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, one) for one in range(settings.topic_partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        # `seek_to_end` is lazy: asking for the positions fixes them now.
        for partition in partitions:
            await consumer.position(partition)
        yield _decoded(consumer)
    finally:
        # As a task of its own: without its broker, aiokafka's `stop` ends by cancelling itself.
        stopping = asyncio.ensure_future(consumer.stop())
        await asyncio.wait({stopping}, timeout=_STOP_S)


async def _decoded(consumer: AIOKafkaConsumer) -> AsyncIterator[Attribution]:
    async for message in consumer:
        # Another program may write here; what is not ours is not for this list.
        with contextlib.suppress(UndecodableError):
            record = decode(message.value)
            if isinstance(record, Attribution):
                yield record
