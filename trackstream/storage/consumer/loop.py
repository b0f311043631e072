"""Being a member of the group for as long as it takes, however often it has to be joined."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError

from trackstream.settings import Settings
from trackstream.storage.consumer.member import Member
from trackstream.storage.errors import WriterFencedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.storage.consumer.steps import Reading, Steps

__all__ = ["consume", "group_of"]

_log = logging.getLogger(__name__)

_KAFKA_PAUSE_S = 2.0


async def consume(
    settings: Settings,
    reading: Reading,
    steps: Callable[[], Steps[Any]],
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Read topics, and have what is read written, until `stop` is set. Servers may be away.

    Args:
        settings: Name Kafka and the topics (created).
        reading: What is read.
        steps: Makes what is done with it, for each membership in the group anew: so a thread of an
            earlier one that still hangs somewhere has nothing in common with the next.
        stop: When set, what is in hand is written, the group is left, and the call returns.
        on_ready: Called once, when partitions have been claimed for the first time.

    Raises:
        Exception: What a step raises and waiting does not help against.
    """
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


def group_of(group: str, settings: Settings) -> str:
    """The consumer group: one for each prefix, so that installations may share a cluster."""
    prefix = settings.topic_prefix
    return group if prefix == Settings().topic_prefix else prefix + group
