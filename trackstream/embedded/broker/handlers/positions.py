"""Positions in a log: list offsets, delete records, offset for leader epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.storage.partition import LEADER_EPOCH, Partition

if TYPE_CHECKING:
    from trackstream.embedded.broker.broker import Broker
    from trackstream.embedded.broker.protocol.wire import Decoded
    from trackstream.embedded.broker.request import Answer, Request

_LATEST = -1
_EARLIEST = -2
_MAX_TIMESTAMP = -3
_END = -1


def list_offsets(broker: Broker, request: Request) -> Answer:
    """Answer the first offset, the next one, or that of a time."""
    committed_only = request.body["isolation_level"] == 1

    def look_up(name: str, wanted: Decoded) -> dict[str, Any]:
        partition = broker.topics.partition(name, wanted["index"])
        if partition is None:
            error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            return {"index": wanted["index"], "error_code": error}
        try:
            offset, timestamp = _position(partition, wanted["timestamp"], committed_only)
        except OSError:
            return {"index": wanted["index"], "error_code": ErrorCode.KAFKA_STORAGE_ERROR}
        return {
            "index": wanted["index"],
            "error_code": ErrorCode.NONE,
            "offset": offset,
            "timestamp": timestamp,
            "leader_epoch": LEADER_EPOCH if offset >= 0 else -1,
        }

    return {"topics": _each(request.body, look_up)}


def _position(partition: Partition, timestamp: int, committed_only: bool) -> tuple[int, int]:  # noqa: FBT001 - private
    if timestamp == _LATEST:
        return partition.last_stable_offset if committed_only else partition.log.end_offset, -1
    if timestamp == _EARLIEST:
        return partition.log.start_offset, -1
    if timestamp == _MAX_TIMESTAMP:
        return partition.log.newest() or (-1, -1)
    return partition.log.find_time(timestamp) or (-1, -1)


def delete_records(broker: Broker, request: Request) -> Answer:
    """Move the start of logs."""

    def delete(name: str, wanted: Decoded) -> dict[str, Any]:
        partition = broker.topics.partition(name, wanted["index"])
        answer: dict[str, Any] = {"index": wanted["index"], "error_code": ErrorCode.NONE}
        if partition is None:
            return answer | {"error_code": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
        end = partition.log.end_offset
        offset = end if wanted["offset"] == _END else wanted["offset"]
        if not 0 <= offset <= end:
            return answer | {"error_code": ErrorCode.OFFSET_OUT_OF_RANGE}
        if not partition.log.config.is_deleted:
            return answer | {"error_code": ErrorCode.POLICY_VIOLATION}
        try:
            partition.delete_records(offset)
        except OSError:
            return answer | {"error_code": ErrorCode.KAFKA_STORAGE_ERROR}
        return answer | {"low_watermark": partition.log.start_offset}

    return {"topics": _each(request.body, delete)}


def offset_for_leader_epoch(broker: Broker, request: Request) -> Answer:
    """Answer where an epoch ends: there is one epoch, and it ends with the log."""

    def look_up(name: str, wanted: Decoded) -> dict[str, Any]:
        partition = broker.topics.partition(name, wanted["index"])
        if partition is None:
            error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            return {"index": wanted["index"], "error_code": error}
        answer: dict[str, Any] = {"index": wanted["index"], "error_code": ErrorCode.NONE}
        if wanted["current_leader_epoch"] > LEADER_EPOCH:
            return answer | {"error_code": ErrorCode.UNKNOWN_LEADER_EPOCH}
        if wanted["leader_epoch"] != LEADER_EPOCH:
            return answer
        return answer | {"leader_epoch": LEADER_EPOCH, "end_offset": partition.log.end_offset}

    return {"topics": _each(request.body, look_up)}


def _each(body: Decoded, handle: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": topic["name"],
            "partitions": [handle(topic["name"], wanted) for wanted in topic["partitions"]],
        }
        for topic in body["topics"]
    ]
