"""Configurations of topics (and, to be read only, of the broker)."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from trackstream.embedded.broker.broker import NODE_ID
from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.topic_config import ALL_SETTINGS, ConfigType
from trackstream.embedded.broker.topics import Topic, TopicError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.embedded.broker.broker import Broker
    from trackstream.embedded.broker.protocol.wire import Decoded
    from trackstream.embedded.broker.request import Answer, Request

_TOPIC = 2
_BROKER = 4


class _Source(IntEnum):
    """Where a value comes from."""

    TOPIC = 1
    STATIC_BROKER = 4
    DEFAULT = 5


class _Operation(IntEnum):
    """What IncrementalAlterConfigs does with a value."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


def describe_topic_config(broker: Broker, topic: Topic) -> list[dict[str, Any]]:
    """Return all settings of a topic, with where each value comes from."""
    described = []
    for name, setting in ALL_SETTINGS.items():
        value, source = setting.default, _Source.DEFAULT
        if name in broker.topics.defaults:
            value, source = broker.topics.defaults[name], _Source.STATIC_BROKER
        if name in topic.overrides:
            value, source = topic.overrides[name], _Source.TOPIC
        described.append(
            {
                "name": name,
                "value": value,
                "read_only": False,
                "is_default": source is not _Source.TOPIC,
                "source": source,
                "type": setting.type,
                "documentation": setting.about,
                "synonyms": [{"name": name, "value": value, "source": source}],
            }
        )
    return described


def _describe_broker(broker: Broker) -> list[dict[str, Any]]:
    settings = broker.settings
    values = {
        "broker.id": (NODE_ID, ConfigType.INT),
        "num.partitions": (settings.default_partitions, ConfigType.INT),
        "auto.create.topics.enable": (
            str(settings.auto_create_topics).lower(),
            ConfigType.BOOLEAN,
        ),
        "log.dirs": (settings.data_dir, ConfigType.STRING),
        "group.initial.rebalance.delay.ms": (
            settings.group_initial_rebalance_delay_ms,
            ConfigType.INT,
        ),
        "group.min.session.timeout.ms": (settings.group_min_session_timeout_ms, ConfigType.INT),
        "group.max.session.timeout.ms": (settings.group_max_session_timeout_ms, ConfigType.INT),
        "socket.request.max.bytes": (settings.max_request_bytes, ConfigType.INT),
        "transaction.max.timeout.ms": (settings.transaction_max_timeout_ms, ConfigType.INT),
        "producer.id.expiration.ms": (settings.producer_id_expiration_ms, ConfigType.INT),
        "offsets.retention.minutes": (settings.offsets_retention_ms // 60_000, ConfigType.INT),
    }
    return [
        {
            "name": name,
            "value": str(value),
            "read_only": True,
            "source": _Source.STATIC_BROKER,
            "type": kind,
            "synonyms": [],
        }
        for name, (value, kind) in values.items()
    ]


def describe_configs(broker: Broker, request: Request) -> Answer:
    """Answer the settings of topics and of the broker, all or those named."""
    return {"resources": [_describe(broker, item) for item in request.body["resources"]]}


def _describe(broker: Broker, wanted: Decoded) -> dict[str, Any]:
    answer = _resource(wanted)
    kind, name = wanted["resource_type"], wanted["resource_name"]
    if kind == _TOPIC:
        topic = broker.topics.get(name)
        if topic is None:
            return answer | _unknown_topic(name)
        configs = describe_topic_config(broker, topic)
    elif kind == _BROKER and name in {"", str(NODE_ID)}:
        configs = _describe_broker(broker)
    else:
        return answer | _unknown_resource()
    if wanted["names"] is not None:
        configs = [config for config in configs if config["name"] in set(wanted["names"])]
    return answer | {"configs": configs}


def alter_configs(broker: Broker, request: Request) -> Answer:
    """Replace all settings of topics."""

    def replace(topic: Topic, configs: Iterable[Decoded]) -> dict[str, str]:
        del topic
        return {item["name"]: item["value"] for item in configs if item["value"] is not None}

    return _alter(broker, request, replace)


def incremental_alter_configs(broker: Broker, request: Request) -> Answer:
    """Change single settings of topics."""
    return _alter(broker, request, _changed)


def _alter(broker: Broker, request: Request, change: Any) -> Answer:
    answers = []
    for wanted in request.body["resources"]:
        answer = _resource(wanted)
        name = wanted["resource_name"]
        topic = broker.topics.get(name)
        if wanted["resource_type"] != _TOPIC:
            answer |= _unknown_resource()
        elif topic is None:
            answer |= _unknown_topic(name)
        else:
            try:
                broker.topics.configure(
                    name,
                    change(topic, wanted["configs"]),
                    validate_only=request.body["validate_only"],
                )
            except TopicError as error:
                answer |= {"error_code": error.code, "error_message": str(error)}
            except OSError as error:
                answer |= {
                    "error_code": ErrorCode.KAFKA_STORAGE_ERROR,
                    "error_message": str(error),
                }
        answers.append(answer)
    return {"resources": answers}


def _changed(topic: Topic, configs: Iterable[Decoded]) -> dict[str, str]:
    overrides = dict(topic.overrides)
    for item in configs:
        name, value = item["name"], item["value"]
        setting = ALL_SETTINGS.get(name)
        if item["operation"] == _Operation.DELETE:
            overrides.pop(name, None)
            continue
        if value is None:
            raise TopicError(ErrorCode.INVALID_REQUEST, f"{name}: no value")
        if item["operation"] == _Operation.SET:
            overrides[name] = value
            continue
        if setting is None or setting.type is not ConfigType.LIST:
            raise TopicError(ErrorCode.INVALID_CONFIG, f"{name} is not a list")
        before = overrides.get(name, setting.default).split(",")
        parts = value.split(",")
        if item["operation"] == _Operation.APPEND:
            after = [*before, *(part for part in parts if part not in before)]
        else:
            after = [part for part in before if part not in parts]
        overrides[name] = ",".join(after)
    return overrides


def _resource(wanted: Decoded) -> dict[str, Any]:
    return {
        "error_code": ErrorCode.NONE,
        "resource_type": wanted["resource_type"],
        "resource_name": wanted["resource_name"],
    }


def _unknown_topic(name: str) -> dict[str, Any]:
    return {
        "error_code": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        "error_message": f"Topic '{name}' does not exist.",
    }


def _unknown_resource() -> dict[str, Any]:
    return {
        "error_code": ErrorCode.INVALID_REQUEST,
        "error_message": "only topics can be changed, only topics and this broker described",
    }
