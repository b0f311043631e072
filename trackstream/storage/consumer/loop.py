"""Being a member of the group for as long as it takes, however often it has to be joined."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError

from trackstream.settings import Settings
from trackstream.storage.consumer.member import Member
from trackstream.storage.errors import StorageUnavailableError, WriterFencedError
from trackstream.storage.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.storage.consumer.steps import Reading, Steps

__all__ = ["consume", "group_of"]

_log = logging.getLogger(__name__)

_KAFKA_PAUSE_S = 2.0
_TOPICS_TIMEOUT_S = 5.0


async def consume(
    settings: Settings,
    reading: Reading,
    steps: Callable[[], Steps[Any]],
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Read topics, and have what is read written, until `stop` is set. Servers may be away.

    All topics are created first: a broker would create those that are subscribed to by itself, with
    another number of partitions than everything else needs.

    Args:
        settings: Name Kafka and the topics.
        reading: What is read.
        steps: Makes what is done with it, for each membership in the group anew: so a thread of an
            earlier one that still hangs somewhere has nothing in common with the next.
        stop: When set, what is in hand is written, the group is left, and the call returns.
        on_ready: Called once, when partitions have been claimed for the first time.

    Raises:
        TopicMismatchError: A topic has another number of partitions than the settings say.
        StorageError: Kafka refuses to create a topic.
        Exception: What a step raises and waiting does not help against.
    """
    await _topics(settings, reading, stop)
    ready = on_ready
    while not stop.is_set():
        member = Member(
            settings,
            reading,
            steps(),
            group=group_of(reading.group, settings),
            stop=stop,
            on_ready=ready,
        )
        try:
            await member.run()
        except WriterFencedError as error:
            # The group has given our partitions away without our knowing: join it anew.
            _log.warning("%s: %s: joining the group again", reading.name, error)
        except (KafkaError, TimeoutError) as error:
            _log.warning("%s waits for Kafka: %r", reading.name, error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _KAFKA_PAUSE_S)
        ready = None if member.was_ready else ready


async def _topics(settings: Settings, reading: Reading, stop: asyncio.Event) -> None:
    """Return when all topics are there, or `stop` is set."""
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while not stop.is_set():
            ensuring = asyncio.ensure_future(ensure_topics(settings, timeout_s=_TOPICS_TIMEOUT_S))
            try:
                await asyncio.wait({ensuring, stopped}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ensuring.cancel()
            await asyncio.wait({ensuring})
            if ensuring.cancelled():
                return
            try:
                ensuring.result()
            except StorageUnavailableError as error:
                _log.warning("%s waits for Kafka: %s", reading.name, error)
            else:
                return
    finally:
        stopped.cancel()


def group_of(group: str, settings: Settings) -> str:
    """The consumer group: one for each prefix, so that installations may share a cluster."""
    prefix = settings.topic_prefix
    return group if prefix == Settings().topic_prefix else prefix + group
