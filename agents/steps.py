"""How every agent goes through its messages: decode each, handle it, then write the batch.

A message that cannot be decoded, or whose handling fails, goes to `rejected` with its original
bytes; it neither stops the worker nor vanishes. What fails is Kafka or the store, not a message:
then the worker stops without acknowledging, and a restart reads the batch again.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, cast

from aiokafka.errors import MessageSizeTooLargeError

from agents.refusing import Handler
from agents.work import UnwritableError, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faust.types import AppT, Message

    from agents.metrics import Metrics
    from agents.stream import BatchStream
    from agents.transport import Producer
    from agents.work import Effects
    from tables import Tables
    from trackstream.core.models import Weigh
    from trackstream.core.records import Record
    from trackstream.ports import Deps, FunnelsBook, RulesBook

__all__ = ["At", "Context", "Step", "run", "take"]

_log = logging.getLogger(__name__)

_BATCH_MESSAGES = 256
_BLOCK_AT_MOST_S = 0.02
"""The event loop also serves HTTP and the other agents."""
_KAFKAS_DEFAULT_BYTES = 1_048_588
"""`max.message.bytes` of a topic that nobody has configured."""


@dataclass(frozen=True, slots=True)
class At:
    """Where and when a message stands in its topic."""

    key: str
    partition: int
    offset: int
    ms: int
    """The broker's timestamp of it: the same in every replay, unlike a clock."""


class Step(Protocol):
    """What an agent does with one message: load, call core, save, send."""

    def __call__(self, record: Record, at: At, effects: Effects) -> None:
        """Handle it. Raising rejects the message and discards its effects."""


@dataclass(frozen=True, slots=True)
class Context:
    """What all agents share."""

    app: AppT
    tables: Tables
    deps: Deps
    rules: RulesBook
    funnels: FunnelsBook
    models: Mapping[str, Weigh]
    """Multi-touch models by name."""
    topic_prefix: str
    metrics: Metrics
    largest_bytes: int
    """What Kafka takes as one record."""


async def run(stream: BatchStream, agent: str, step: Step, context: Context) -> None:
    """Take batches for ever. Returns only by cancellation, or after having stopped the app."""
    handler = Handler(step, agent, context.deps.version)
    try:
        async for batch in stream.batches(_BATCH_MESSAGES):
            newest_ms = round(1000 * max(message.timestamp for message in batch))
            await context.rules.up_to(newest_ms)
            await context.funnels.up_to(newest_ms)
            await take(batch, handler, context)
            context.metrics.count("trackstream_batches_total", agent=agent)
    except Exception as error:  # noqa: BLE001 - logged, and it stops the app
        _log.exception("%s cannot go on; nothing of its batch is acknowledged", agent)
        await context.app.crash(error)


async def take(batch: list[Message], handler: Handler, context: Context) -> None:
    """Handle and write a batch.

    One that has something in it that nobody can write is handled again with more care, which finds
    the messages to blame; so is one that Kafka has refused because its topics take less than ours
    would, as when somebody else has made them.

    Raises:
        aiokafka.errors.KafkaError: Not everything was acknowledged.
    """
    producer = cast("Producer", context.app.producer)
    largest_bytes, careful = context.largest_bytes, False
    while True:
        work = Work(
            context.tables.counters,
            topic_prefix=context.topic_prefix,
            largest_bytes=largest_bytes,
            careful=careful,
        )
        with context.metrics.timed(handler.agent, "handle"):
            await _handle(batch, handler, work)
        try:
            await work.commit(producer, context.metrics, handler.agent)
        except UnwritableError as error:
            if careful:
                raise
            _log.warning("%s handles a batch again: %s", handler.agent, error)
            careful = True
        except MessageSizeTooLargeError:
            if largest_bytes <= _KAFKAS_DEFAULT_BYTES:
                raise
            _log.warning(
                "%s handles a batch again: a topic takes no records of %d bytes",
                handler.agent,
                largest_bytes,
            )
            largest_bytes, careful = _KAFKAS_DEFAULT_BYTES, True
        else:
            return
        work.drop()


async def _handle(batch: list[Message], handler: Handler, work: Work) -> None:
    work.tally("trackstream_messages_in_total", len(batch), agent=handler.agent)
    yielded_at = perf_counter()
    for message in batch:
        at = At(
            (message.key or b"").decode("utf-8", "replace"),
            message.partition,
            message.offset,
            round(message.timestamp * 1000),
        )
        work.absorb(handler.handled(message, at, work))
        if perf_counter() - yielded_at > _BLOCK_AT_MOST_S:
            await asyncio.sleep(0)
            yielded_at = perf_counter()
