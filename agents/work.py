"""What a batch of messages changes and sends, gathered first and written together at its end.

The order in which it is written is what makes killing the process at any moment harmless:

1. outputs and counters, and wait for their acknowledgement;
2. the changelog of the states, and wait;
3. RocksDB, with the changelog offset it now reaches;
4. only then are the source messages acknowledged (by `BatchStream.batches`).

Dying before 2 ends leaves the old state, from which a replay makes the same outputs again, with
the same ids; dying after it leaves the new state, whose outputs are already out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from agents.transport import Outgoing
from tables.counters import add, plus
from trackstream import codec

if TYPE_CHECKING:
    from collections.abc import Collection

    from agents.metrics import Metrics
    from agents.transport import Producer
    from tables.base import StateTable
    from trackstream.core.records import Record

__all__ = ["Effects", "Work"]

S = TypeVar("S", bound=msgspec.Struct)
Place = tuple["StateTable[Any]", int]
"""A table and a partition of it."""


@dataclass(slots=True)
class Effects:
    """What handling one message does. Discarded if handling it fails half-way.

    Args:
        work: The batch, whose earlier messages this one sees.
        partition: The message's, which is that of every state it may touch.
        offset: The message's.
    """

    work: Work
    partition: int
    offset: int
    states: dict[Place, dict[str, Any]] = field(default_factory=dict)
    records: list[Outgoing] = field(default_factory=list)
    counts: dict[Place, dict[str, Any]] = field(default_factory=dict)

    def load(self, table: StateTable[S], key: str) -> S | None:
        """The state as it is after everything handled so far."""
        mine = self.states.get((table, self.partition))
        if mine is not None and key in mine:
            state: S | None = mine[key]
            return state
        return self.work.load(table, self.partition, key)

    def save(self, table: StateTable[S], key: str, state: S | None) -> None:
        """Set the state; None deletes it."""
        self.states.setdefault((table, self.partition), {})[key] = state

    def send(self, topic: str, key: str, record: Record) -> None:
        """Write a record to a topic (named without its prefix)."""
        name = self.work.topic_prefix + topic
        self.records.append(Outgoing(name, None, key.encode(), codec.encode(record)))

    def count(self, table: StateTable[S], row: str, change: S) -> None:
        """Count something in a row of counters, once however often it is replayed."""
        rows = self.counts.setdefault((table, self.partition), {})
        rows[row] = plus(rows[row], change) if row in rows else change

    def include(self, other: Effects) -> None:
        """Take over the effects of a part of this message that was handled by itself."""
        for place, states in other.states.items():
            self.states.setdefault(place, {}).update(states)
        self.records += other.records
        for (table, _), rows in other.counts.items():
            for row, change in rows.items():
                self.count(table, row, change)


class Work:
    """One batch's effects.

    Args:
        counters: The tables of counters; they are written with the outputs, before the states.
        topic_prefix: Put before every topic's name.
    """

    def __init__(self, counters: Collection[StateTable[Any]], *, topic_prefix: str) -> None:
        self.topic_prefix = topic_prefix
        self._counters = counters
        self._states: dict[Place, dict[str, Any]] = {}
        self._records: list[Outgoing] = []

    def load(self, table: StateTable[S], partition: int, key: str) -> S | None:
        """The state after the messages absorbed so far."""
        held = self._states.get((table, partition))
        if held is not None and key in held:
            state: S | None = held[key]
            return state
        return table.load(partition, key)

    def absorb(self, effects: Effects) -> None:
        """Take over what one message does, after it was handled to its end."""
        for place, states in effects.states.items():
            self._states.setdefault(place, {}).update(states)
        self._records += effects.records
        for (table, partition), changes in effects.counts.items():
            rows = self._states.setdefault((table, partition), {})
            for row, change in changes.items():
                old = rows[row] if row in rows else table.load(partition, row)
                rows[row] = add(old, change, offset=effects.offset)

    async def commit(self, producer: Producer, metrics: Metrics, agent: str) -> None:
        """Write everything, in the order that the module describes.

        Raises:
            aiokafka.errors.KafkaError: Not everything was acknowledged. Nothing may be
                acknowledged then, and nothing local was changed that was not.
        """
        first = [place for place in self._states if place[0] in self._counters]
        then = [place for place in self._states if place[0] not in self._counters]
        with metrics.timed(agent, "send"):
            await self._write(producer, first, self._records)
        with metrics.timed(agent, "store"):
            await self._write(producer, then, [])
        for record in self._records:
            metrics.count("trackstream_records_out_total", agent=agent, topic=record.topic)
        for (table, _), states in self._states.items():
            metrics.count(
                "trackstream_table_writes_total", len(states), agent=agent, table=table.name
            )

    async def _write(
        self, producer: Producer, places: list[Place], records: list[Outgoing]
    ) -> None:
        changes = {
            (table, partition): [
                (key, state, table.encode(state))
                for key, state in self._states[table, partition].items()
            ]
            for table, partition in places
        }
        changelog = [
            Outgoing(table.changelog_topic_name, partition, key.encode(), data)
            for (table, partition), held in changes.items()
            for key, _, data in held
        ]
        if not records and not changelog:
            return
        last = await producer.deliver([*records, *changelog])
        for (table, partition), held in changes.items():
            table.apply(partition, held, offset=last[table.changelog_topic_name, partition])
