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

from agents.work import Effects, Work
from tables.state import UnknownStateVersionError
from tables.store import NotOwnedError
from trackstream import codec
from trackstream.core.reasons import Reason
from trackstream.core.records import Envelope, Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faust.types import AppT, Message

    from agents.metrics import Metrics
    from agents.stream import BatchStream
    from agents.transport import Producer
    from tables import Tables
    from trackstream.core.models import Weigh
    from trackstream.core.records import Record
    from trackstream.ports import Deps, FunnelsBook, RulesBook

__all__ = ["At", "Context", "Step", "run"]

_log = logging.getLogger(__name__)

_BATCH_MESSAGES = 256
_BLOCK_AT_MOST_S = 0.02
"""The event loop also serves HTTP and the other agents."""
_DETAIL_CHARS = 500


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


async def run(stream: BatchStream, agent: str, step: Step, context: Context) -> None:
    """Take batches for ever. Returns only by cancellation, or after having stopped the app."""
    try:
        async for batch in stream.batches(_BATCH_MESSAGES):
            work = Work(context.tables.counters, topic_prefix=context.topic_prefix)
            with context.metrics.timed(agent, "handle"):
                await _handle(batch, agent, step, work, context)
            await work.commit(cast("Producer", context.app.producer), context.metrics, agent)
            context.metrics.count("trackstream_batches_total", agent=agent)
    except Exception as error:  # noqa: BLE001 - logged, and it stops the app
        _log.exception("%s cannot go on; nothing of its batch is acknowledged", agent)
        await context.app.crash(error)


async def _handle(
    batch: list[Message], agent: str, step: Step, work: Work, context: Context
) -> None:
    metrics = context.metrics
    metrics.count("trackstream_messages_in_total", len(batch), agent=agent)
    yielded_at = perf_counter()
    for message in batch:
        effects = Effects(work, message.partition, message.offset)
        at = At(
            (message.key or b"").decode("utf-8", "replace"),
            message.partition,
            message.offset,
            round(message.timestamp * 1000),
        )
        try:
            record = codec.decode(message.value)
            if isinstance(record, Envelope):
                metrics.count("trackstream_events_in_total", len(record.events), agent=agent)
            step(record, at, effects)
        except (NotOwnedError, UnknownStateVersionError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a message does, it stops nobody else
            effects = Effects(work, message.partition, message.offset)
            _reject(message, at, error, agent, effects, context)
        work.absorb(effects)
        if perf_counter() - yielded_at > _BLOCK_AT_MOST_S:
            await asyncio.sleep(0)
            yielded_at = perf_counter()


def _reject(
    message: Message, at: At, error: Exception, agent: str, effects: Effects, context: Context
) -> None:
    undecodable = isinstance(error, codec.UndecodableError)
    reason = Reason.UNDECODABLE if undecodable else Reason.INTERNAL
    if not undecodable:
        _log.error(
            "%s rejects %s[%d]@%d", agent, message.topic, at.partition, at.offset, exc_info=error
        )
    app_id = at.key.partition("|")[0] if "|" in at.key else None
    effects.send(
        "rejected",
        at.key,
        Rejected(
            rejected_id=f"{message.topic}-{at.partition}-{at.offset}",
            app_id=app_id,
            stage=agent,
            reasons=[reason.value],
            detail=f"{type(error).__name__}: {error}"[:_DETAIL_CHARS],
            payload=message.value or b"",
            received_at_ms=at.ms,
            version=context.deps.version,
            origin=message.topic.removeprefix(context.topic_prefix),
            key=at.key,
        ),
    )
    context.metrics.count("trackstream_rejected_total", agent=agent, reason=reason.value)
