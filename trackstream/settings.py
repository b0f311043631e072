"""Settings: environment variables `TRACKSTREAM_*` over a TOML file over defaults, parsed once.

`Settings.load()` reports every error at once. The TOML file's keys are the names below in lower
case (`kafka_url = "…"`); it is named by `TRACKSTREAM_CONFIG`, else `trackstream.toml` in the data
directory if it is there.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackstream.setting_values import choice, flag, networks, path, secret, text, url, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["PREFIX", "Settings", "SettingsError", "documented"]

PREFIX = "TRACKSTREAM_"


class SettingsError(ValueError):
    """Settings that cannot be used.

    Attributes:
        problems: one line for each, naming the setting and what it takes.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _setting(parse: Callable[[str], Any], doc: str, default: Any = None) -> Any:
    return field(default=default, metadata={"parse": parse, "doc": doc})


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything that can be set, frozen. Names carry units; `documented()` lists them."""

    data_dir: Path = _setting(path, "Directory for everything kept on this machine", Path("data"))
    kafka_url: str | None = _setting(
        url("kafka"), "Kafka bootstrap servers, `kafka://host:port[,host:port]`"
    )
    postgres_url: str | None = _setting(
        url("postgresql", "postgres"), "PostgreSQL, `postgresql://user:password@host/database`"
    )
    redis_url: str | None = _setting(
        url("redis", "rediss"), "Redis or Valkey; a cache only, may be lost at any time"
    )
    master_key: str | None = _setting(
        secret,
        "32 bytes in hex that seal the secrets kept in PostgreSQL; made in the data directory "
        "when not set",
    )
    topic_prefix: str = _setting(text, "Put before every topic's name", "trackstream.")
    topic_partitions: int = _setting(
        whole(1, 1024), "Partitions of every topic; fixed once the topics exist", 8
    )
    topic_replication_factor: int = _setting(whole(1, 9), "Replicas of every topic", 1)
    topic_retention_hours: int = _setting(
        whole(1, 24 * 3660), "How long topics keep messages; counts from arrival", 7 * 24
    )
    collector_url: str | None = _setting(
        url("http", "https"), "Where commands reach a running collector"
    )
    collector_host: str = _setting(text, "Address on which the collector listens", "127.0.0.1")
    collector_port: int = _setting(whole(0, 65535), "Port of the collector; 0: any free one", 8080)
    worker_host: str = _setting(text, "Address of the worker's web views", "127.0.0.1")
    worker_port: int = _setting(
        whole(0, 65535), "Port of the worker's web views; 0: any free one", 6066
    )
    worker_collects: bool = _setting(
        flag, "Serve the collector inside the worker's web server, too", False
    )
    worker_session_timeout_s: int = _setting(
        whole(6, 300),
        "How long a worker may be silent before others take over its partitions; one that "
        "cannot write to Kafka for most of that time stops",
        15,
    )
    rocksdb_block_cache_mib: int = _setting(
        whole(1, 2**20), "RocksDB's block cache in a worker, one for all of its tables", 64
    )
    kafka_port: int = _setting(whole(0, 65535), "Port of the embedded broker; 0: any free one", 0)
    postgres_port: int = _setting(
        whole(0, 65535), "Port of the embedded PostgreSQL; 0: any free one", 0
    )
    redis_port: int = _setting(whole(0, 65535), "Port of the embedded Valkey; 0: any free one", 0)
    app_id: str = _setting(text, "App that commands act for", "demo")
    key_id: str | None = _setting(text, "Key with which commands sign their requests")
    secret: str | None = _setting(secret, "Secret of that key")
    geo_city_database: Path | None = _setting(
        path,
        "City database (.mmdb); the embedded default is used when not set. A file that is replaced "
        "is taken up, if it can be used",
    )
    geo_asn_database: Path | None = _setting(
        path, "Database of autonomous systems (.mmdb); without it events have none. As above"
    )
    public_url: str | None = _setting(
        url("http", "https"), "Where tracking links are reached from outside, if not collector_url"
    )
    cookie_max_age_days: int = _setting(
        whole(0, 3650), "Life of the tracking cookie; 0: set none", 365
    )
    cookie_same_site: str = _setting(
        choice("lax", "strict", "none"),
        "SameSite of the tracking cookie; `none` makes it Secure, too",
        "lax",
    )
    cookie_secure: str = _setting(
        choice("auto", "always"),
        "Whether the tracking cookie is Secure; `auto`: if the link was called by HTTPS",
        "auto",
    )
    cookie_consent: str = _setting(
        choice("assumed", "required"),
        "`required`: a tracking cookie is set and read only if the link's URL has `consent=1` "
        "and the browser does not send `Sec-GPC: 1`",
        "assumed",
    )
    tls_certificate: Path | None = _setting(
        path, "The collector's certificate chain (PEM); it serves HTTPS, and takes up changes"
    )
    tls_key: Path | None = _setting(path, "Its key (PEM), if not in the same file")
    max_body_bytes: int = _setting(whole(1024, 2**30), "Largest body of a request", 2**20)
    max_inflated_bytes: int = _setting(
        whole(1024, 2**30), "Largest body after decompression", 5 * 2**20
    )
    max_batch_events: int = _setting(whole(1, 100_000), "Most events in one request", 1000)
    produce_timeout_s: int = _setting(
        whole(1, 300), "How long the collector waits for Kafka before it answers 503", 10
    )
    spool_max_mib: int = _setting(
        whole(0, 2**20),
        "Most that a process of the collector keeps on disk, in `spool` of the data directory, "
        "while Kafka is away; 0: nothing, it answers 503",
        1024,
    )
    spool_max_age_h: int = _setting(
        whole(1, 24 * 366),
        "What has been in the spool for longer goes to the topic `rejected` once Kafka is back",
        72,
    )
    spool_after_ms: int = _setting(
        whole(10, 300_000),
        "How long a request waits for Kafka before what it brought is spooled",
        1000,
    )
    max_connections: int = _setting(
        whole(0, 10**6),
        "Open connections of each process of the collector; more are answered 503; 0: any number",
        10_000,
    )
    idle_timeout_s: int = _setting(
        whole(1, 3600),
        "How long a connection may be without a request whose headers have come whole",
        75,
    )
    body_timeout_s: int = _setting(
        whole(1, 3600), "How long a sender may take for the body of a request", 30
    )
    shutdown_delay_ms: int = _setting(
        whole(0, 300_000),
        "For how long a collector that is to stop says at `/health/ready` that it will, and "
        "serves on",
        100,
    )
    shutdown_grace_s: int = _setting(
        whole(0, 3600),
        "How long requests may take that it has begun by then; later ones are answered 503",
        5,
    )
    metrics_open: bool = _setting(
        flag,
        "Show the collector's metrics to whoever asks; else, unless it listens on loopback, a key "
        "with the scope read or admin is needed, as Basic authentication",
        False,
    )
    rate_limit_key_per_s: int = _setting(
        whole(0, 10**7), "Requests a second that each key may send; 0: any number", 50_000
    )
    rate_limit_ip_per_s: int = _setting(
        whole(0, 10**7),
        "Requests a second that each address (of IPv6 each /64) may send; 0: any number",
        20_000,
    )
    rate_limit_burst_s: int = _setting(
        whole(1, 3600), "For how many seconds the requests of a limit may come at once", 5
    )
    blocked_networks: str = _setting(
        networks, "Addresses and networks that the collector refuses, separated by commas", ""
    )
    allowed_networks: str = _setting(
        networks, "Networks that are neither blocked nor limited by their addresses", ""
    )
    trusted_proxies: str = _setting(
        networks, "Networks of proxies that are believed whom they forward, and how", ""
    )
    trusted_proxy_header: str = _setting(
        choice("x-forwarded-for", "forwarded"),
        "Where these proxies say it; the other header is not looked at",
        "x-forwarded-for",
    )
    click_repeat_ms: int = _setting(
        whole(0, 60_000),
        "For how long the same click (address, user agent, URL) counts once; 0: always counts",
        1000,
    )
    session_gap_s: int = _setting(
        whole(1, 86_400), "Inactivity, in seconds, beyond which a new session starts", 1800
    )
    tick_interval_s: int = _setting(
        whole(1, 600), "How often time passes for idle sessions and missing answers", 10
    )
    answer_deadline_s: int = _setting(
        whole(1, 600), "How long a decision waits for answers that are missing", 30
    )
    postbacks_allow_private: bool = _setting(
        flag, "Let postbacks go to private, loopback and other special addresses", False
    )
    postbacks_timeout_s: int = _setting(
        whole(1, 60), "How long a postback may take, from the name's lookup to the answer", 10
    )
    views_refresh_s: int = _setting(
        whole(0, 86_400),
        "How often the warehouse writer refreshes PostgreSQL's materialised views; 0: never",
        300,
    )
    retention_events_days: int = _setting(
        whole(0, 36_600),
        "For how many days after its arrival `trackstream retention run` keeps an event; 0: always",
        0,
    )
    retention_sessions_days: int = _setting(
        whole(0, 36_600), "Likewise a session, after its last change; 0: always", 0
    )
    retention_attributions_days: int = _setting(
        whole(0, 36_600), "Likewise a decision that counts, with its credits; 0: always", 0
    )
    retention_revisions_days: int = _setting(
        whole(0, 36_600),
        "Likewise what decisions were made of, which `explain` and `replay` need; 0: always",
        0,
    )
    retention_rejected_days: int = _setting(
        whole(0, 36_600), "Likewise what was rejected; 0: always", 0
    )
    archive_url: str | None = _setting(
        text,
        "Where `trackstream archive` keeps events as Parquet files: a directory, or a URL that "
        "fsspec knows, such as `s3://bucket/events`; `archive` in the data directory when not set",
    )
    archive_roll_mib: int = _setting(
        whole(1, 2**12), "Size of a partition's messages, in Avro, at which they become files", 32
    )
    archive_roll_s: int = _setting(
        whole(1, 86_400), "For how long messages wait for others at most, before they do", 300
    )
    log_level: str = _setting(choice("debug", "info", "warning", "error"), "What is logged", "info")

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Read the file and the environment; `overrides` (already parsed) win over both.

        Raises:
            SettingsError: with every problem, each naming its setting.
        """
        env = dict(os.environ if environ is None else environ)
        known = {one.name: one for one in fields(cls)}
        problems: list[str] = []
        values = _from_file(env, known, problems)
        for name, value in env.items():
            if name.startswith(PREFIX) and name not in _OTHER_VARIABLES:
                key = name.removeprefix(PREFIX).lower()
                if key in known:
                    values[key] = value
                elif not key.startswith("test_"):
                    problems.append(f"{name} is not a setting")
        parsed: dict[str, Any] = {}
        for key, given in values.items():
            try:
                parsed[key] = known[key].metadata["parse"](given)
            except ValueError as error:
                problems.append(f"{PREFIX}{key.upper()} {error}")
        if problems:
            raise SettingsError(problems)
        return cls(**{**parsed, **overrides})

    def environ(self) -> dict[str, str]:
        """The environment variables that make another process load these same settings."""
        return {
            PREFIX + one.name.upper(): str(getattr(self, one.name))
            for one in fields(self)
            if getattr(self, one.name) is not None
        }


_OTHER_VARIABLES = {PREFIX + "CONFIG"}


def _from_file(
    env: Mapping[str, str], known: Mapping[str, Any], problems: list[str]
) -> dict[str, str]:
    named = env.get(PREFIX + "CONFIG")
    path = Path(named or Path(env.get(PREFIX + "DATA_DIR", "data")) / "trackstream.toml")
    if not named and not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{PREFIX}CONFIG: cannot read {path}: {error}")
        return {}
    problems.extend(f"{path}: {key} is not a setting" for key in table if key not in known)
    return {key: str(value) for key, value in table.items() if key in known}


def documented() -> list[tuple[str, str, str]]:
    """Every setting as (variable, default as text, what it is), in order of declaration."""
    return [
        (
            PREFIX + one.name.upper(),
            "" if one.default in {None, MISSING} else str(one.default),
            one.metadata["doc"],
        )
        for one in fields(Settings)
    ]
