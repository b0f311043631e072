"""Idempotent and transactional producers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.embedded.broker.handlers.group_offsets import sort_offsets
from trackstream.embedded.broker.protocol.errors import ErrorCode

if TYPE_CHECKING:
    from trackstream.embedded.broker.broker import Broker
    from trackstream.embedded.broker.request import Answer, Request


def _for_version(error: ErrorCode, version: int, fenced_since: int) -> ErrorCode:
    """Name a fenced producer as its client's version does (KIP-588)."""
    if error == ErrorCode.PRODUCER_FENCED and version < fenced_since:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    return error


def init_producer_id(broker: Broker, request: Request) -> Answer:
    """Give a producer its id and epoch."""
    body = request.body
    if body["transactional_id"] is None:
        identity = broker.transactions.new_producer()
    else:
        identity = broker.transactions.begin_session(
            body["transactional_id"],
            body["transaction_timeout_ms"],
            body["producer_id"],
            body["producer_epoch"],
        )
    return {
        "error_code": _for_version(identity.error, request.version, 4),
        "producer_id": identity.producer_id,
        "producer_epoch": identity.epoch,
    }


def add_partitions_to_txn(broker: Broker, request: Request) -> Answer:
    """Take partitions into a transaction: all of them, or none."""
    body = request.body
    places = [(topic["name"], index) for topic in body["topics"] for index in topic["partitions"]]
    unknown = {place for place in places if broker.topics.partition(*place) is None}
    if unknown:
        error = ErrorCode.OPERATION_NOT_ATTEMPTED
    else:
        error = broker.transactions.add_partitions(
            body["transactional_id"], body["producer_id"], body["producer_epoch"], places
        )
        error = _for_version(error, request.version, 2)
    return {
        "topics": [
            {
                "name": topic["name"],
                "partitions": [
                    {
                        "index": index,
                        "error_code": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                        if (topic["name"], index) in unknown
                        else error,
                    }
                    for index in topic["partitions"]
                ],
            }
            for topic in body["topics"]
        ]
    }


def add_offsets_to_txn(broker: Broker, request: Request) -> Answer:
    """Take a group's offsets into a transaction."""
    body = request.body
    error = broker.transactions.add_group(
        body["transactional_id"], body["producer_id"], body["producer_epoch"], body["group_id"]
    )
    return {"error_code": _for_version(error, request.version, 2)}


def end_txn(broker: Broker, request: Request) -> Answer:
    """Commit or abort."""
    body = request.body
    error = broker.transactions.end(
        body["transactional_id"],
        body["producer_id"],
        body["producer_epoch"],
        commit=body["committed"],
    )
    return {"error_code": _for_version(error, request.version, 2)}


def txn_offset_commit(broker: Broker, request: Request) -> Answer:
    """Note offsets that are committed with the transaction."""
    body = request.body
    error = broker.groups.check_commit(
        body["group_id"], body["member_id"], body["group_instance_id"], body["generation_id"]
    )
    if body["generation_id"] < 0 and not body["member_id"]:
        # Before version 3, and without a group: the producer's epoch is all there is to check.
        error = ErrorCode.NONE
    items, answers = sort_offsets(broker, body["topics"], error)
    if items:
        error = broker.transactions.commit_offsets(
            body["transactional_id"],
            body["producer_id"],
            body["producer_epoch"],
            body["group_id"],
            items,
        )
        if error:
            _, answers = sort_offsets(broker, body["topics"], _for_version(error, 0, 1))
    return {"topics": answers}
