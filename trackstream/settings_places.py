"""Settings: where everything is, and with which keys it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trackstream.setting_values import app_id, flag, path, secret, setting, text, url, whole

__all__ = ["PlaceSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaceSettings:
    """Servers, ports, topics, keys and files."""

    data_dir: Path = setting(path, "Directory for everything kept on this machine", Path("data"))
    kafka_url: str | None = setting(
        url("kafka"), "Kafka bootstrap servers, `kafka://host:port[,host:port]`"
    )
    postgres_url: str | None = setting(
        url("postgresql", "postgres"), "PostgreSQL, `postgresql://user:password@host/database`"
    )
    redis_url: str | None = setting(
        url("redis", "rediss"), "Redis or Valkey; a cache only, may be lost at any time"
    )
    master_key: str | None = setting(
        secret,
        "32 bytes in hex that seal the secrets kept in PostgreSQL; made in the data directory "
        "when not set",
    )
    topic_prefix: str = setting(text, "Put before every topic's name", "trackstream.")
    topic_partitions: int = setting(
        whole(1, 1024), "Partitions of every topic; fixed once the topics exist", 8
    )
    topic_replication_factor: int = setting(whole(1, 9), "Replicas of every topic", 1)
    topic_retention_hours: int = setting(
        whole(1, 24 * 3660), "How long topics keep messages; counts from arrival", 7 * 24
    )
    collector_url: str | None = setting(
        url("http", "https"), "Where commands reach a running collector"
    )
    collector_host: str = setting(text, "Address on which the collector listens", "127.0.0.1")
    collector_port: int = setting(whole(0, 65535), "Port of the collector; 0: any free one", 8080)
    worker_host: str = setting(
        text,
        "Address of the worker's web views. On any but loopback they ask for a key with the scope "
        "read (its app) or admin (all), as Basic authentication; health is open",
        "127.0.0.1",
    )
    worker_port: int = setting(
        whole(0, 65535), "Port of the worker's web views; 0: any free one", 6066
    )
    worker_collects: bool = setting(
        flag,
        "Serve the collector inside the worker's web server, too, without TLS: for development "
        "and small installations",
        False,
    )
    worker_session_timeout_s: int = setting(
        whole(6, 300),
        "How long a worker may be silent before others take over its partitions; one that "
        "stands still or cannot write to Kafka for most of that time stops",
        15,
    )
    rocksdb_block_cache_mib: int = setting(
        whole(1, 2**20), "RocksDB's block cache in a worker, one for all of its tables", 64
    )
    kafka_port: int = setting(whole(0, 65535), "Port of the embedded broker; 0: any free one", 0)
    postgres_port: int = setting(
        whole(0, 65535), "Port of the embedded PostgreSQL; 0: any free one", 0
    )
    redis_port: int = setting(whole(0, 65535), "Port of the embedded Valkey; 0: any free one", 0)
    app_id: str = setting(app_id, "App that commands act for", "demo")
    key_id: str | None = setting(text, "Key with which commands sign their requests")
    secret: str | None = setting(secret, "Secret of that key")
    geo_city_database: Path | None = setting(
        path,
        "City database (.mmdb); the embedded default is used when not set. A file that is replaced "
        "is taken up, if it can be used",
    )
    geo_asn_database: Path | None = setting(
        path, "Database of autonomous systems (.mmdb); without it events have none. As above"
    )
