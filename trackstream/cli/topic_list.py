"""What topics there are, as the broker says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition

import schemas
from trackstream.cli.base import Problem
from trackstream.storage.topics import TOPICS, bootstrap_servers

if TYPE_CHECKING:
    from trackstream.settings import Settings

__all__ = ["described"]

_TIMEOUT_S = 15.0


async def described(settings: Settings) -> list[dict[str, Any]]:
    """One row for each topic of ours that exists, in the order of the data's way.

    Raises:
        Problem: Kafka does not answer in time.
        KafkaError: Kafka refuses.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers(settings.kafka_url), enable_auto_commit=False
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await consumer.start()
            there = await consumer.topics()
            carried = schemas.load().topics
            return [
                await _row(consumer, settings.topic_prefix + topic, carried[topic])
                for topic in TOPICS
                if settings.topic_prefix + topic in there
            ]
    except TimeoutError as error:
        raise Problem(
            f"Kafka at {settings.kafka_url} did not answer within {_TIMEOUT_S:g} s",
            "check TRACKSTREAM_KAFKA_URL",
        ) from error
    finally:
        await consumer.stop()


async def _row(consumer: AIOKafkaConsumer, topic: str, records: tuple[str, ...]) -> dict[str, Any]:
    # Asking for a topic's partitions needs its metadata, which `topics` has not kept.
    await consumer._client._wait_on_metadata(topic)  # noqa: SLF001 # there is no public way
    partitions = [TopicPartition(topic, one) for one in consumer.partitions_for_topic(topic) or ()]
    first = await consumer.beginning_offsets(partitions)
    after = await consumer.end_offsets(partitions)
    return {
        "topic": topic,
        "partitions": len(partitions),
        "messages": sum(after[one] - first[one] for one in partitions),
        "records": list(records),
    }
