"""Offsets of consumer groups: commit, fetch, delete."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Any

from trackstream.embedded.broker.coordination.offsets import Committed, Place
from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.protocol.wire import (
    INT16,
    STRING,
    Array,
    MalformedMessageError,
    Reader,
)

if TYPE_CHECKING:
    from trackstream.embedded.broker.broker import Broker
    from trackstream.embedded.broker.coordination.group import Group
    from trackstream.embedded.broker.protocol.wire import Decoded
    from trackstream.embedded.broker.request import Answer, Request

MAX_METADATA_BYTES = 4096

_read_version = INT16.reader(0, flexible=False)
_read_topics = Array(STRING).reader(0, flexible=False)


def offset_commit(broker: Broker, request: Request) -> Answer:
    """Store the offsets of a member of the current generation, or of a consumer without group."""
    body = request.body
    group_id = body["group_id"]
    error = broker.groups.check_commit(
        group_id, body["member_id"], body["group_instance_id"], body["generation_id"]
    )
    items, answers = sort_offsets(broker, body["topics"], error)
    try:
        broker.offsets.commit(group_id, items.items())
    except OSError:
        _, answers = sort_offsets(broker, body["topics"], ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return {"topics": answers}


def sort_offsets(
    broker: Broker, topics: list[Decoded], error: ErrorCode
) -> tuple[dict[Place, Committed], list[dict[str, Any]]]:
    """Return the offsets that may be stored, and what to answer for each partition.

    With an `error`, none may be, and each is answered with it.
    """
    items: dict[Place, Committed] = {}
    now_ms = int(time.time() * 1000)
    answers = []
    for topic in topics:
        codes = []
        for sent in topic["partitions"]:
            metadata = sent["metadata"] or ""
            code = error
            if not code and broker.topics.partition(topic["name"], sent["index"]) is None:
                code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            if not code and len(metadata.encode()) > MAX_METADATA_BYTES:
                code = ErrorCode.OFFSET_METADATA_TOO_LARGE
            if not code:
                items[topic["name"], sent["index"]] = Committed(
                    sent["offset"], sent["leader_epoch"], metadata, now_ms
                )
            codes.append({"index": sent["index"], "error_code": code})
        answers.append({"name": topic["name"], "partitions": codes})
    return items, answers


def offset_fetch(broker: Broker, request: Request) -> Answer:
    """Answer a group's offsets: those asked for, or all."""
    body = request.body
    known = broker.offsets.of(body["group_id"])
    unstable: set[Place] = set()
    if body["require_stable"]:
        unstable = broker.transactions.pending_places(body["group_id"])
    wanted: dict[str, list[int]] = {}
    if body["topics"] is None:
        for topic, index in known:
            wanted.setdefault(topic, []).append(index)
    else:
        wanted = {item["name"]: item["partitions"] for item in body["topics"]}
    return {
        "topics": [
            {
                "name": name,
                "partitions": [
                    _answer(index, known.get((name, index)), unstable=(name, index) in unstable)
                    for index in indexes
                ],
            }
            for name, indexes in wanted.items()
        ],
    }


def _answer(index: int, committed: Committed | None, *, unstable: bool) -> dict[str, Any]:
    if unstable:
        return {"index": index, "error_code": ErrorCode.UNSTABLE_OFFSET_COMMIT}
    if committed is None:
        return {"index": index, "error_code": ErrorCode.NONE}
    return {
        "index": index,
        "error_code": ErrorCode.NONE,
        "offset": committed.offset,
        "leader_epoch": committed.leader_epoch,
        "metadata": committed.metadata,
    }


def offset_delete(broker: Broker, request: Request) -> Answer:
    """Forget offsets of topics that no member of the group reads."""
    body = request.body
    group_id = body["group_id"]
    group = broker.groups.get(group_id)
    if group is None and not broker.offsets.of(group_id):
        return {"error_code": ErrorCode.GROUP_ID_NOT_FOUND}
    if group is not None and group.members and group.protocol_type != "consumer":
        return {"error_code": ErrorCode.NON_EMPTY_GROUP}
    read = _subscribed(group)
    places = [
        (topic["name"], item["index"])
        for topic in body["topics"]
        for item in topic["partitions"]
        if topic["name"] not in read
    ]
    try:
        broker.offsets.delete(group_id, places)
    except OSError:
        return {"error_code": ErrorCode.COORDINATOR_NOT_AVAILABLE}
    return {
        "error_code": ErrorCode.NONE,
        "topics": [
            {
                "name": topic["name"],
                "partitions": [
                    {
                        "index": item["index"],
                        "error_code": ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC
                        if topic["name"] in read
                        else ErrorCode.NONE,
                    }
                    for item in topic["partitions"]
                ],
            }
            for topic in body["topics"]
        ],
    }


def _subscribed(group: Group | None) -> set[str]:
    """Return the topics in the members' subscriptions: each begins with a version and a list."""
    topics: set[str] = set()
    for member in group.members if group is not None else ():
        reader = Reader(member.metadata(group.protocol if group is not None else None))
        try:
            _read_version(reader)
            topics.update(_read_topics(reader))
        except (MalformedMessageError, struct.error):
            continue
    return topics
