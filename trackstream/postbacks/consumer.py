"""Reads `attributions` into the outbox, each message's effect once."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from trackstream.codec import UndecodableError, decode
from trackstream.core.records import Attribution
from trackstream.core.texts import clean
from trackstream.postbacks.outbox import queue
from trackstream.storage.consumer import Reading, Steps, Written, group_of
from trackstream.storage.consumer import consume as consume_topics
from trackstream.storage.consumer.offsets import advance, by_connection, claim, claimed
from trackstream.storage.database import transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Engine

    from trackstream.settings import Settings
    from trackstream.storage.consumer import Claimed, Partition, Read

__all__ = ["READING", "consume"]

_log = logging.getLogger(__name__)

READING = Reading(
    name="the postback reader",
    group="trackstream-postbacks",
    topics=("attributions",),
    most_messages=500,
    gather_s=0.0,
)

_LONGEST_CHARS = 512


async def consume(
    settings: Settings,
    engine: Engine,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
    on_queued: Callable[[], None],
) -> None:
    """Queue what attributions trigger until `stop` is set.

    Args:
        settings: Name Kafka and the topic.
        engine: The database, migrated.
        stop: When set, the batch in hand is written, the group is left, and the call returns.
        on_ready: Called once, when partitions have been claimed for the first time.
        on_queued: Called whenever there is something new to send.
    """
    group = group_of(READING.group, settings)
    loop = asyncio.get_running_loop()

    def steps() -> Steps[_Batch]:
        queueing = _Queueing(engine, group, lambda: loop.call_soon_threadsafe(on_queued))
        return Steps(claim=queueing.claim, prepare=_prepared, write=queueing.write)

    await consume_topics(settings, READING, steps, stop=stop, on_ready=on_ready)


class _Batch(NamedTuple):
    """What one transaction queues."""

    attributions: list[Attribution]
    next_offsets: dict[Partition, int]


class _Queueing:
    """The outbox, and the claims under which it is written."""

    def __init__(self, engine: Engine, group: str, on_queued: Callable[[], object]) -> None:
        self._engine = engine
        self._group = group
        self._on_queued = on_queued
        self._epochs: dict[Partition, int] = {}

    def claim(self, partitions: Sequence[Partition]) -> Mapping[Partition, Claimed]:
        with transaction(self._engine) as connection:
            claims = claim(by_connection(connection), self._group, partitions)
        self._epochs = {one: its.epoch for one, its in claims.items()}
        return claimed(claims)

    def write(self, batch: _Batch) -> Written[_Batch]:
        with transaction(self._engine) as connection:
            advance(by_connection(connection), self._group, batch.next_offsets, self._epochs)
            new = queue(connection, batch.attributions, now_ms=int(time.time() * 1000))
        if new:
            self._on_queued()
        return Written(next_offsets=batch.next_offsets)


def _prepared(read: Read) -> list[_Batch]:
    if not read.messages:
        return []
    return [
        _Batch(
            [found for one in read.messages if (found := _attribution(one.value)) is not None],
            {(one.topic, one.partition): one.offset + 1 for one in read.messages},
        )
    ]


def _attribution(value: bytes | None) -> Attribution | None:
    """The record; None for what is none, which the warehouse keeps as rejected."""
    try:
        record = decode(value)
    except UndecodableError as error:
        _log.warning("no attribution: %s", error)
        return None
    if not isinstance(record, Attribution):
        return None
    names = (record.conversion_id, record.person, record.event)
    if any(len(name) > _LONGEST_CHARS or clean(name) != name for name in names):
        _log.warning("an attribution that no database can hold: %.80r", record.conversion_id)
        return None
    return record
