"""The cluster, which is one node: metadata, coordinators, versions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from trackstream.embedded.broker.broker import NODE_ID
from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.protocol.registry import api_versions as all_versions
from trackstream.embedded.broker.storage.partition import LEADER_EPOCH
from trackstream.embedded.broker.topics import Topic, TopicError

if TYPE_CHECKING:
    from trackstream.embedded.broker.broker import Broker
    from trackstream.embedded.broker.protocol.wire import Decoded
    from trackstream.embedded.broker.request import Answer, Request

log = logging.getLogger(__name__)

_WILDCARDS = {"", "0.0.0.0", "::"}


def api_versions(broker: Broker, request: Request) -> Answer:
    """Answer which versions of which APIs there are."""
    del broker, request
    return all_versions()


def address(broker: Broker, request: Request) -> dict[str, Any]:
    """Return where clients shall connect to: what is set, else where this request arrived."""
    settings = broker.settings
    host = settings.advertised_host or settings.host
    if host in _WILDCARDS:
        host = request.local_host
    return {"node_id": NODE_ID, "host": host, "port": request.local_port}


def metadata(broker: Broker, request: Request) -> Answer:
    """Answer the broker's address and topics; topics asked for by name may be created."""
    wanted = request.body["topics"]
    # Version 0 says "all" by an empty list, later ones by null.
    if wanted is None or (request.version == 0 and not wanted):
        topics = [_describe(topic) for topic in broker.topics]
    else:
        create = request.body["allow_auto_topic_creation"] and broker.settings.auto_create_topics
        topics = [_describe_wanted(broker, item, create=create) for item in wanted]
    return {
        "brokers": [address(broker, request)],
        "cluster_id": broker.directory.cluster_id,
        "controller_id": NODE_ID,
        "topics": topics,
    }


def _describe_wanted(  # noqa: PLR0911 - one refusal a line
    broker: Broker, wanted: Decoded, *, create: bool
) -> dict[str, Any]:
    name = wanted["name"]
    if name is None:
        topic = broker.topics.by_id(wanted["topic_id"])
        if topic is None:
            return {"error_code": ErrorCode.UNKNOWN_TOPIC_ID, "topic_id": wanted["topic_id"]}
        return _describe(topic)
    topic = broker.topics.get(name)
    if topic is not None:
        return _describe(topic)
    try:
        if create:
            return _describe(broker.topics.create(name, broker.settings.default_partitions, {}))
        broker.topics.check_new(name, 1, {})
    except TopicError as error:
        return {"error_code": error.code, "name": name}
    except OSError as error:
        log.error("topic %s could not be created: %s", name, error)  # noqa: TRY400 - expected; the stack says nothing
        return {"error_code": ErrorCode.KAFKA_STORAGE_ERROR, "name": name}
    return {"error_code": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "name": name}


def _describe(topic: Topic) -> dict[str, Any]:
    return {
        "error_code": ErrorCode.NONE,
        "name": topic.name,
        "topic_id": topic.id,
        "partitions": [
            {
                "error_code": ErrorCode.NONE,
                "index": partition.index,
                "leader_id": NODE_ID,
                "leader_epoch": LEADER_EPOCH,
                "replica_nodes": [NODE_ID],
                "isr_nodes": [NODE_ID],
                "offline_replicas": [NODE_ID] if partition.failed else [],
            }
            for partition in topic.partitions
        ],
    }


def find_coordinator(broker: Broker, request: Request) -> Answer:
    """Answer who coordinates a group (type 0) or a transactional id (type 1): this node."""
    if request.body["key_type"] not in {0, 1}:
        return {"error_code": ErrorCode.INVALID_REQUEST, "error_message": "unknown key type"}
    return {"error_code": ErrorCode.NONE, **address(broker, request)}
