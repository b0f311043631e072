"""The configuration of a topic: names, defaults, checks.

The names and meanings are Kafka's (https://kafka.apache.org/documentation/#topicconfigs).
Names in `WITHOUT_EFFECT` are accepted and reported, because programs made for a cluster set
them, but say nothing on a single node that stores batches as they were sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAX_LONG = 2**63 - 1
_MAX_INT = 2**31 - 1
_DAY_MS = 86_400_000


class ConfigError(ValueError):
    """A configuration name that does not exist, or a value that it cannot have."""


class ConfigType(IntEnum):
    """Types as DescribeConfigs answers them."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    LONG = 5
    DOUBLE = 6
    LIST = 7


@dataclass(frozen=True, slots=True)
class Setting:
    """One configuration: its default, its type and what parses (and checks) it."""

    default: str
    type: ConfigType
    parse: Callable[[str], Any]
    about: str


def _integer(low: int, high: int = _MAX_LONG) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"must be between {low} and {high}")
        return value

    return parse


def _ratio(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError("must be between 0 and 1")
    return value


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return parse


def _policies(text: str) -> frozenset[str]:
    policies = frozenset(part.strip() for part in text.split(",") if part.strip())
    if not policies <= {"compact", "delete"}:
        raise ValueError("must be compact, delete, or both")
    return policies


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError("must be true or false")
    return text.lower() == "true"


SETTINGS: dict[str, Setting] = {
    "cleanup.policy": Setting(
        "delete",
        ConfigType.LIST,
        _policies,
        "Delete old segments, or keep the newest per key.",
    ),
    "retention.ms": Setting(
        str(7 * _DAY_MS), ConfigType.LONG, _integer(-1), "Age at which segments go; -1: never."
    ),
    "retention.bytes": Setting(
        "-1", ConfigType.LONG, _integer(-1), "Size of a partition beyond which segments go."
    ),
    "segment.bytes": Setting(
        str(64 * 1024 * 1024), ConfigType.INT, _integer(14, _MAX_INT), "Size of a segment file."
    ),
    "segment.ms": Setting(
        str(7 * _DAY_MS), ConfigType.LONG, _integer(1), "Age at which a segment is closed."
    ),
    "max.message.bytes": Setting(
        "1048588", ConfigType.INT, _integer(0, _MAX_INT), "Largest batch accepted."
    ),
    "delete.retention.ms": Setting(
        str(_DAY_MS), ConfigType.LONG, _integer(0), "How long tombstones outlive compaction."
    ),
    "min.cleanable.dirty.ratio": Setting(
        "0.5", ConfigType.DOUBLE, _ratio, "Share of new bytes at which compaction runs."
    ),
    "min.compaction.lag.ms": Setting(
        "0", ConfigType.LONG, _integer(0), "Age before which records are not compacted."
    ),
    "max.compaction.lag.ms": Setting(
        str(_MAX_LONG), ConfigType.LONG, _integer(1), "Age after which records are compacted."
    ),
    "message.timestamp.type": Setting(
        "CreateTime",
        ConfigType.STRING,
        _one_of("CreateTime", "LogAppendTime"),
        "Whose clock gives a record its time: the producer's or the broker's.",
    ),
}

_NO_EFFECT = "Accepted; without effect on a single node that stores batches as they were sent."
WITHOUT_EFFECT: dict[str, Setting] = {
    "compression.type": Setting(
        "producer",
        ConfigType.STRING,
        _one_of("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"),
        _NO_EFFECT,
    ),
    "min.insync.replicas": Setting("1", ConfigType.INT, _integer(1, _MAX_INT), _NO_EFFECT),
    "unclean.leader.election.enable": Setting("false", ConfigType.BOOLEAN, _boolean, _NO_EFFECT),
    "flush.messages": Setting(str(_MAX_LONG), ConfigType.LONG, _integer(1), _NO_EFFECT),
    "flush.ms": Setting(str(_MAX_LONG), ConfigType.LONG, _integer(0), _NO_EFFECT),
    "index.interval.bytes": Setting("4096", ConfigType.INT, _integer(0, _MAX_INT), _NO_EFFECT),
    "segment.jitter.ms": Setting("0", ConfigType.LONG, _integer(0), _NO_EFFECT),
    "preallocate": Setting("false", ConfigType.BOOLEAN, _boolean, _NO_EFFECT),
}

ALL_SETTINGS = SETTINGS | WITHOUT_EFFECT


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """A topic's configuration, parsed."""

    cleanup_policy: frozenset[str]
    retention_ms: int
    retention_bytes: int
    segment_bytes: int
    segment_ms: int
    max_message_bytes: int
    delete_retention_ms: int
    min_cleanable_dirty_ratio: float
    min_compaction_lag_ms: int
    max_compaction_lag_ms: int
    message_timestamp_type: str

    @property
    def is_compacted(self) -> bool:
        """Whether only the newest record of a key is kept."""
        return "compact" in self.cleanup_policy

    @property
    def is_deleted(self) -> bool:
        """Whether old segments are deleted."""
        return "delete" in self.cleanup_policy


def parse_setting(name: str, value: str) -> Any:
    """Parse one value, or raise `ConfigError` naming what is wrong."""
    setting = ALL_SETTINGS.get(name)
    if setting is None:
        raise ConfigError(f"Unknown topic config name: {name}")
    try:
        return setting.parse(value.strip())
    except ValueError as error:
        raise ConfigError(f"Invalid value {value!r} for configuration {name}: {error}") from None


def parse_topic_config(
    overrides: Mapping[str, str], defaults: Mapping[str, str] | None = None
) -> TopicConfig:
    """Parse a topic's own settings over the broker's defaults.

    Raises:
        ConfigError: a name or a value that does not exist.
    """
    for name, value in overrides.items():
        parse_setting(name, value)
    texts = {name: setting.default for name, setting in SETTINGS.items()}
    texts |= {name: value for name, value in (defaults or {}).items() if name in SETTINGS}
    texts |= {name: value for name, value in overrides.items() if name in SETTINGS}
    return TopicConfig(
        **{name.replace(".", "_"): parse_setting(name, value) for name, value in texts.items()}
    )
