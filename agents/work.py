"""What a batch of messages changes and sends, gathered first and written together at its end.

The order in which it is written is what makes killing the process at any moment harmless:

1. outputs and counters, and wait for their acknowledgement;
2. the changelog of the states, and wait;
3. RocksDB, with the changelog offset it now reaches;
4. only then are the source messages acknowledged (by `BatchStream.batches`).

Dying before 2 ends leaves the old state, from which a replay makes the same outputs again, with
the same ids; dying after it leaves the new state, whose outputs are already out.

A state is encoded once for a batch, at its end, for that is a good part of the cost. What cannot be
written then, or is too large for Kafka, is found out before anything is written: the batch is then
handled again with the states of each message encoded at once, so that the one to blame is known.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from agents.transport import Outgoing
from tables.counters import add, plus
from trackstream import codec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from agents.metrics import Metrics
    from agents.transport import Producer
    from tables.base import StateTable
    from trackstream.core.records import Record

__all__ = ["Effects", "TooLargeError", "UnwritableError", "Work"]

S = TypeVar("S", bound=msgspec.Struct)
Place = tuple["StateTable[Any]", int]
"""A table and a partition of it."""
Taken = tuple["StateTable[Any]", int, str]
"""A key that was taken out of its table's index of what is due, and its partition."""
Encoded = list[tuple[str, Any, bytes | None]]
"""Keys, their states, and these as bytes."""
_ROOM_BYTES = 256
"""What Kafka adds to a record, alone in its batch."""


class UnwritableError(ValueError):
    """A state that has no encoding, or more than Kafka takes."""


class TooLargeError(UnwritableError):
    """A record or a state of more bytes than Kafka takes."""


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
    tallies: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    taken: list[tuple[StateTable[Any], str]] = field(default_factory=list)

    def load(self, table: StateTable[S], key: str) -> S | None:
        """The state as it is after everything handled so far."""
        mine = self.states.get((table, self.partition))
        if mine is not None and key in mine:
            state: S | None = mine[key]
            return state
        return self.work.load(table, self.partition, key)

    def is_changed(self, table: StateTable[S], key: str) -> bool:
        """Whether this batch has changed the state so far."""
        place = table, self.partition
        return key in self.states.get(place, ()) or self.work.is_changed(place, key)

    def save(self, table: StateTable[S], key: str, state: S | None) -> None:
        """Set the state; None deletes it."""
        self.states.setdefault((table, self.partition), {})[key] = state

    def send(self, topic: str, key: str, record: Record) -> None:
        """Write a record to a topic (named without its prefix).

        Raises:
            TooLargeError: Kafka would not take it.
        """
        outgoing = Outgoing(
            self.work.topic_prefix + topic, None, key.encode(), codec.encode(record)
        )
        self.work.weigh(outgoing.topic, outgoing.key, outgoing.value)
        self.records.append(outgoing)

    def count(self, table: StateTable[S], row: str, change: S) -> None:
        """Count something in a row of counters, once however often it is replayed."""
        rows = self.counts.setdefault((table, self.partition), {})
        rows[row] = plus(rows[row], change) if row in rows else change

    def tally(self, name: str, by: int = 1, /, **labels: str) -> None:
        """Add to a counter of `/metrics`, once the batch is written."""
        if by:
            self.tallies.append((name, by, labels))

    def take(self, table: StateTable[Any], key: str) -> None:
        """Note that a key was taken out of its table's index of what is due."""
        self.taken.append((table, key))

    def check(self) -> None:
        """Encode every state, to see whether it can be written. Raises UnwritableError."""
        for (table, _), states in self.states.items():
            self.work.encode(table, states)

    def drop(self) -> None:
        """Nothing of it is to be done: what was due still is."""
        _put_back((table, self.partition, key) for table, key in self.taken)

    def include(self, other: Effects) -> None:
        """Take over the effects of a part of this message that was handled by itself."""
        for place, states in other.states.items():
            self.states.setdefault(place, {}).update(states)
        self.records += other.records
        self.tallies += other.tallies
        for (table, _), rows in other.counts.items():
            for row, change in rows.items():
                self.count(table, row, change)


class Work:
    """One batch's effects.

    Args:
        counters: The tables of counters; they are written with the outputs, before the states.
        topic_prefix: Put before every topic's name.
        largest_bytes: What Kafka takes as one record.
        careful: Whether each message's states are encoded as soon as it is handled.
    """

    def __init__(
        self,
        counters: Collection[StateTable[Any]],
        *,
        topic_prefix: str,
        largest_bytes: int = 2**20,
        careful: bool = False,
    ) -> None:
        self.topic_prefix = topic_prefix
        self.record_bytes = largest_bytes - _ROOM_BYTES
        self.careful = careful
        self._counters = counters
        self._states: dict[Place, dict[str, Any]] = {}
        self._records: list[Outgoing] = []
        self._tallies: list[tuple[str, int, dict[str, str]]] = []
        # Not the effects themselves: they know this batch, and what is in a circle stays, with all
        # of its states, until Python looks for circles.
        self._taken: list[Taken] = []
        self._encoded: dict[Place, Encoded] | None = None

    def load(self, table: StateTable[S], partition: int, key: str) -> S | None:
        """The state after the messages absorbed so far."""
        held = self._states.get((table, partition))
        if held is not None and key in held:
            state: S | None = held[key]
            return state
        return table.load(partition, key)

    def is_changed(self, place: Place, key: str) -> bool:
        """Whether a message absorbed so far has changed the state."""
        return key in self._states.get(place, ())

    def absorb(self, effects: Effects) -> None:
        """Take over what one message does, after it was handled to its end."""
        self._encoded = None
        self._tallies += effects.tallies
        self._taken += [(table, effects.partition, key) for table, key in effects.taken]
        for place, states in effects.states.items():
            self._states.setdefault(place, {}).update(states)
        self._records += effects.records
        for (table, partition), changes in effects.counts.items():
            rows = self._states.setdefault((table, partition), {})
            for row, change in changes.items():
                old = rows[row] if row in rows else table.load(partition, row)
                rows[row] = add(old, change, offset=effects.offset)

    def tally(self, name: str, by: int = 1, /, **labels: str) -> None:
        """Add to a counter of `/metrics`, once the batch is written."""
        self._tallies.append((name, by, labels))

    def weigh(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Raise TooLargeError if Kafka would not take it."""
        size = len(key or b"") + len(value or b"")
        if size > self.record_bytes:
            raise TooLargeError(
                f"{size} bytes for {topic} are more than {self.record_bytes}, which Kafka takes"
            )

    def encode(self, table: StateTable[S], states: Mapping[str, S | None]) -> Encoded:
        """The states as they are written. Raises UnwritableError."""
        found: Encoded = []
        for key, state in states.items():
            try:
                data = table.encode(state)
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                raise UnwritableError(f"a state of {table.name}: {error}") from error
            self.weigh(table.name, key.encode(), data)
            found.append((key, state, data))
        return found

    def encoded(self) -> dict[Place, Encoded]:
        """All states as they are written; once. Raises UnwritableError."""
        if self._encoded is None:
            self._encoded = {
                place: self.encode(place[0], states) for place, states in self._states.items()
            }
        return self._encoded

    def drop(self) -> None:
        """Nothing of it is to be done: what was due still is."""
        _put_back(self._taken)

    async def commit(self, producer: Producer, metrics: Metrics, agent: str) -> None:
        """Write everything, in the order that the module describes.

        Raises:
            UnwritableError: A state cannot be written; nothing was.
            aiokafka.errors.KafkaError: Not everything was acknowledged. Nothing may be
                acknowledged then, and nothing local was changed that was not.
        """
        self.encoded()
        first = [place for place in self._states if place[0] in self._counters]
        then = [place for place in self._states if place[0] not in self._counters]
        with metrics.timed(agent, "send"):
            await self._write(producer, first, self._records)
        with metrics.timed(agent, "store"):
            await self._write(producer, then, [])
        for name, by, labels in self._tallies:
            metrics.count(name, by, **labels)
        for topic, count in Counter(record.topic for record in self._records).items():
            metrics.count("trackstream_records_out_total", count, agent=agent, topic=topic)
        for (table, _), states in self._states.items():
            metrics.count(
                "trackstream_table_writes_total", len(states), agent=agent, table=table.name
            )

    async def _write(
        self, producer: Producer, places: list[Place], records: list[Outgoing]
    ) -> None:
        encoded = self.encoded()
        changes = {place: encoded[place] for place in places}
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


def _put_back(taken: Iterable[Taken]) -> None:
    """What was due still is."""
    for table, partition, key in taken:
        if table.due is not None:
            table.due.put(partition, key, table.load(partition, key))
