"""What can be set when the broker starts; defaults as Apache Kafka's unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """The broker's settings; times in ms, sizes in bytes.

    `port` 0 means any free one. `topic_defaults` are Kafka topic settings for topics that do not
    have their own. `group_initial_rebalance_delay_ms` is shorter than Kafka's 3 s, and
    `fsync_interval_ms` (0: before every acknowledgement of a batch) is ours.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    advertised_host: str | None = None
    default_partitions: int = 1
    auto_create_topics: bool = True
    topic_defaults: dict[str, str] = field(default_factory=dict)
    fsync_interval_ms: int = 1000
    maintenance_interval_ms: int = 15_000
    max_request_bytes: int = 100 * 1024 * 1024
    group_initial_rebalance_delay_ms: int = 200
    group_min_session_timeout_ms: int = 6_000
    group_max_session_timeout_ms: int = 1_800_000
    offsets_retention_ms: int = 7 * 86_400_000
    transaction_max_timeout_ms: int = 900_000
    producer_id_expiration_ms: int = 86_400_000
