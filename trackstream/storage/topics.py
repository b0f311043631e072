"""The topics, created before anything starts.

Faust does not declare the topics that it reads; one that is created by being used gets the
broker's default partition count, and tables that should be co-partitioned with it no longer are.
It does declare changelogs, but goes on before the cluster shows them: one that is not in the
leader's metadata yet is left out of the assignment, and its table has no partitions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

import schemas
from trackstream.storage.errors import (
    InvalidValueError,
    StorageError,
    StorageUnavailableError,
    TopicMismatchError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from trackstream.settings import Settings

__all__ = ["TOPICS", "bootstrap_servers", "ensure_topics", "largest_message_bytes"]

TOPICS: tuple[str, ...] = tuple(schemas.load().topics)
"""Every source topic, without the prefix."""

_POLL_S = 0.05
_RETRY_S = 0.5
_TRY = ('Unable connect to "', 'Unable to request metadata from "')
_OVERHEAD_BYTES = 64 * 1024


def bootstrap_servers(kafka_url: str | None) -> list[str]:
    """`kafka://a:1,b:2` as Kafka's clients take it: `["a:1", "b:2"]`; the default port is 9092.

    Raises:
        InvalidValueError: There is no URL, or it names no host.
    """
    parts = urlsplit(kafka_url or "")
    hosts = [host.strip() for host in parts.netloc.split(",") if host.strip()]
    if parts.scheme != "kafka" or not hosts:
        raise InvalidValueError(
            f"TRACKSTREAM_KAFKA_URL is {kafka_url!r}; it takes kafka://host:port[,host:port]"
        )
    return [host if _has_port(host) else f"{host}:9092" for host in hosts]


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]  # an IPv6 address has its colons in brackets


def largest_message_bytes(settings: Settings) -> int:
    """What the largest request can become as one message."""
    return max(settings.max_inflated_bytes, settings.max_body_bytes, 2**20) + _OVERHEAD_BYTES


async def ensure_topics(
    settings: Settings,
    *,
    changelogs: Mapping[str, Mapping[str, str]] | None = None,
    timeout_s: float = 30.0,
) -> None:
    """Create the topics that are missing, and return when the cluster shows all of them.

    Several starters at once are safe.

    Args:
        settings: Kafka, the prefix and how topics are made.
        changelogs: Topics besides the source topics: full name, configuration.
        timeout_s: For all of it.

    Raises:
        StorageUnavailableError: Kafka does not answer within `timeout_s`.
        TopicMismatchError: A topic exists with another partition count.
        StorageError: Kafka refuses to create a topic; the message says why.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers(settings.kafka_url))
    try:
        async with asyncio.timeout(timeout_s):
            await _connect(admin)
            await _ensure(admin, settings, _configurations(settings) | dict(changelogs or {}))
    except (TimeoutError, KafkaError, OSError) as error:
        raise StorageUnavailableError(
            f"Kafka at {settings.kafka_url} did not create the topics within {timeout_s:g} s: "
            f"{str(error) or 'no answer'} (TRACKSTREAM_KAFKA_URL)"
        ) from error
    finally:
        await admin.close()


async def _connect(admin: AIOKafkaAdminClient) -> None:
    with _tries_untold():
        while True:
            try:
                await admin.start()
            except (KafkaError, OSError):
                await asyncio.sleep(_RETRY_S)
            else:
                return


@contextlib.contextmanager
def _tries_untold() -> Iterator[None]:
    """Keep aiokafka from logging each try to connect: who waits says once that none answers."""
    log = logging.getLogger("aiokafka")
    untold = logging.Filter()
    untold.filter = _tells_no_try  # type: ignore[method-assign]  # an own one, for it is removed
    log.addFilter(untold)
    try:
        yield
    finally:
        log.removeFilter(untold)


def _tells_no_try(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_TRY)


async def _ensure(
    admin: AIOKafkaAdminClient, settings: Settings, wanted: Mapping[str, Mapping[str, str]]
) -> None:
    created_at = 0.0
    while True:
        there = await _partitions(admin)
        _check(there, wanted, settings)
        missing = {name: config for name, config in wanted.items() if name not in there}
        if not missing:
            return
        # Once in a while again: the one who was creating them may have died.
        if time.monotonic() - created_at > 5.0:
            await _create(admin, missing, settings)
            created_at = time.monotonic()
        await asyncio.sleep(_POLL_S)


async def _partitions(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Partition counts of the topics that have a leader for every partition."""
    described: list[dict[str, Any]] = await admin.describe_topics()
    return {
        one["topic"]: len(one["partitions"])
        for one in described
        if one["partitions"] and all(part["leader"] >= 0 for part in one["partitions"])
    }


def _check(there: dict[str, int], names: Iterable[str], settings: Settings) -> None:
    wrong = [
        f"{name} has {there[name]}"
        for name in names
        if name in there and there[name] != settings.topic_partitions
    ]
    if wrong:
        raise TopicMismatchError(
            f"TRACKSTREAM_TOPIC_PARTITIONS is {settings.topic_partitions}, but {', '.join(wrong)}: "
            "set it to what the topics have, or choose another TRACKSTREAM_TOPIC_PREFIX"
        )


def _configurations(settings: Settings) -> dict[str, Mapping[str, str]]:
    """The source topics, and how each is configured."""
    config = {
        "cleanup.policy": "delete",
        "retention.ms": str(settings.topic_retention_hours * 3_600_000),
        "max.message.bytes": str(largest_message_bytes(settings)),
    }
    if settings.topic_replication_factor > 1:
        # acks=all means all replicas in sync: without this, that can be one.
        config["min.insync.replicas"] = str(settings.topic_replication_factor - 1)
    return {settings.topic_prefix + topic: config for topic in TOPICS}


async def _create(
    admin: AIOKafkaAdminClient, missing: Mapping[str, Mapping[str, str]], settings: Settings
) -> None:
    response = await admin.create_topics(
        [
            NewTopic(
                name,
                settings.topic_partitions,
                settings.topic_replication_factor,
                topic_configs=dict(config),
            )
            for name, config in missing.items()
        ]
    )
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            said = rest[0] if rest and rest[0] else error.description
            raise StorageError(f"Kafka refuses to create the topic {name}: {said}")
