"""Produce: append batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.storage.partition import Appended

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from trackstream.embedded.broker.broker import Broker
    from trackstream.embedded.broker.protocol.wire import Decoded
    from trackstream.embedded.broker.request import Answer, Request


def produce(broker: Broker, request: Request) -> Answer | Awaitable[Answer]:
    """Append each partition's batch; answer when they are as safe as the settings demand."""
    acks = request.body["acks"]
    response = {
        "topics": [
            {
                "name": topic["name"],
                "partitions": [
                    _produce_one(broker, acks, topic["name"], partition)
                    for partition in topic["partitions"]
                ],
            }
            for topic in request.body["topics"]
        ]
    }
    if acks == 0:
        return None
    if broker.flusher.delays_acknowledgements:
        return _after_sync(broker, response)
    return response


async def _after_sync(broker: Broker, response: Decoded) -> Answer:
    await broker.flusher.flushed()
    return response


def _produce_one(broker: Broker, acks: int, topic: str, sent: Decoded) -> dict[str, Any]:
    index = sent["index"]
    partition = broker.topics.partition(topic, index)
    if acks not in {-1, 0, 1}:
        appended = Appended(ErrorCode.INVALID_REQUIRED_ACKS)
    elif partition is None:
        appended = Appended(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    elif sent["records"] is None:
        appended = Appended(ErrorCode.CORRUPT_MESSAGE, message="no records")
    else:
        appended = partition.produce(
            sent["records"],
            lambda header: broker.transactions.check_batch(header, (topic, index)),
        )
    return {
        "index": index,
        "error_code": appended.error,
        "base_offset": appended.base_offset,
        "log_append_time_ms": appended.append_time_ms,
        "log_start_offset": -1 if partition is None else partition.log.start_offset,
        "error_message": appended.message,
    }
