"""Administration of topics: create, delete, more partitions."""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from trackstream.embedded.broker.handlers.configs import describe_topic_config
from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.topics import TopicError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.embedded.broker.broker import Broker
    from trackstream.embedded.broker.protocol.wire import Decoded
    from trackstream.embedded.broker.request import Answer, Request

log = logging.getLogger(__name__)


def _answered(name: str, change: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """Run a change of one topic; return its result, or the code and reason of its refusal."""
    try:
        return {"name": name, "error_code": ErrorCode.NONE} | (change() or {})
    except TopicError as error:
        return {"name": name, "error_code": error.code, "error_message": str(error)}
    except OSError as error:
        log.error("topic %s: %s", name, error)  # noqa: TRY400 - expected; the stack says nothing
        return {
            "name": name,
            "error_code": ErrorCode.KAFKA_STORAGE_ERROR,
            "error_message": str(error),
        }


def create_topics(broker: Broker, request: Request) -> Answer:
    """Create topics, each for itself."""
    names = Counter(topic["name"] for topic in request.body["topics"])

    def create(wanted: Decoded) -> dict[str, Any]:
        if names[wanted["name"]] > 1:
            raise TopicError(ErrorCode.INVALID_REQUEST, "the topic is asked for twice")
        count = _partition_count(broker, wanted)
        overrides = {
            item["name"]: item["value"] for item in wanted["configs"] if item["value"] is not None
        }
        broker.topics.check_new(wanted["name"], count, overrides)
        if request.body["validate_only"]:
            return {"num_partitions": count, "replication_factor": 1, "configs": []}
        topic = broker.topics.create(wanted["name"], count, overrides)
        return {
            "topic_id": topic.id,
            "num_partitions": count,
            "replication_factor": 1,
            "configs": describe_topic_config(broker, topic),
        }

    return {
        "topics": [
            _answered(wanted["name"], partial(create, wanted)) for wanted in request.body["topics"]
        ]
    }


def _partition_count(broker: Broker, wanted: Decoded) -> int:
    if wanted["assignments"]:
        indexes = sorted(item["index"] for item in wanted["assignments"])
        if indexes != list(range(len(indexes))):
            raise TopicError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT, "partitions must be numbered from 0"
            )
        if any(len(item["broker_ids"]) != 1 for item in wanted["assignments"]):
            raise TopicError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT, "there is one broker: one replica each"
            )
        return len(indexes)
    if wanted["replication_factor"] not in {-1, 1}:
        raise TopicError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Replication factor: {wanted['replication_factor']} larger than available brokers: 1.",
        )
    if wanted["num_partitions"] == -1:
        return broker.settings.default_partitions
    return int(wanted["num_partitions"])


def delete_topics(broker: Broker, request: Request) -> Answer:
    """Delete topics, and the offsets that groups committed in them."""

    def delete(name: str) -> None:
        broker.topics.delete(name)
        broker.offsets.delete_topic(name)

    return {"topics": [_answered(name, partial(delete, name)) for name in request.body["names"]]}


def create_partitions(broker: Broker, request: Request) -> Answer:
    """Give topics more partitions."""

    def grow(wanted: Decoded) -> None:
        broker.topics.grow(
            wanted["name"], wanted["count"], validate_only=request.body["validate_only"]
        )

    return {
        "topics": [
            _answered(
                wanted["name"],
                partial(grow, wanted),
            )
            for wanted in request.body["topics"]
        ]
    }
