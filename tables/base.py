"""A Faust table that is read and written by (partition, key), a batch at a time.

Faust takes a table's partition from the message being handled and sends one changelog record per
assignment. A batch holds many partitions' messages and changes a key many times; here the caller
says the partition, sends the changelog itself, waits for it, and then calls `apply`. Recovery,
rebalancing, changelog topics and routing stay Faust's. See docs/decisions/batches.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec
from faust import Table

from tables.due import DueIndex
from tables.state import StateCodec, today, written_day
from tables.store import PartitionStore, StoreOptions
from trackstream.core.forgetting import WINDOW_DAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from faust.types import TP, AppT, EventT, TopicT

__all__ = ["StateTable"]

S = TypeVar("S", bound=msgspec.Struct)

_CHANGELOG_BUFFER = 131_072


class StateTable(Table, Generic[S]):  # type: ignore[type-arg] # its key and value types are Faust's
    """A table from text to a state struct.

    Args:
        app: The app; the table registers with it.
        name: Names the changelog and the files: never changed.
        state_type: The class of the values.
        version: Of the state's layout, see `StateCodec`.
        store_options: Shared by all tables of the process.
        due_ms: When a state wants a tick; None if no state ever does.
        memory_days: For how long after its last change a state is kept at least; None: for ever.
    """

    __hash__ = object.__hash__
    """As Faust's, which calls it from Python: tables are keys, looked up for every message."""

    def __init__(
        self,
        app: AppT,
        *,
        name: str,
        state_type: type[S],
        version: int,
        store_options: StoreOptions,
        due_ms: Callable[[S], int | None] | None = None,
        memory_days: Callable[[S], int] | None = None,
        help: str = "",  # noqa: A002 - Faust's name
    ) -> None:
        super().__init__(app, name=name, key_type=str, help=help)
        self.codec = StateCodec(state_type, version)
        self.key_serializer = "raw"
        self.value_serializer = self.codec.register(f"trackstream-{name}")
        self.due = DueIndex(due_ms) if due_ms is not None else None
        self._memory_days = memory_days
        self._swept: dict[int, bytes] = {}
        self._store_options = store_options
        app.tables.add(self)

    @property
    def store(self) -> PartitionStore:
        """The RocksDB store beneath."""
        return cast("PartitionStore", self.data)

    def load(self, partition: int, key: str) -> S | None:
        """The state as last applied.

        Raises:
            NotOwnedError: The partition is not on this worker.
            UnknownStateVersionError: Written by another version of the program.
        """
        data = self.store.read(partition, key.encode())
        return None if data is None else self.codec.decode(data)

    def encode(self, state: S | None) -> bytes | None:
        """The state's bytes; None, a tombstone, for None."""
        return None if state is None else self.codec.encode(state)

    def apply(
        self,
        partition: int,
        changes: Iterable[tuple[str, S | None, bytes | None]],
        *,
        offset: int,
    ) -> None:
        """Store changes whose changelog records are acknowledged.

        Args:
            partition: Theirs.
            changes: (key, state, its bytes).
            offset: The last of their changelog offsets: where recovery goes on from.
        """
        held = list(changes)
        self.store.write(partition, ((key.encode(), data) for key, _, data in held), offset=offset)
        if self.due is not None:
            for key, state, _ in held:
                self.due.put(partition, key, state)

    def take_due(self, partition: int, at_ms: int, limit: int) -> list[str]:
        """Keys whose time has come, at most `limit`; builds the index from the table at first."""
        if self.due is None:
            return []
        if not self.due.is_built(partition):
            self.due.build(partition, self.scan(partition))
        return self.due.take(partition, at_ms, limit)

    def forgettable(self, partition: int, limit: int) -> list[str]:
        """Keys whose states have not changed for as long as they are kept.

        Looks at the next `limit` keys of the partition, from where the last call ended, and then
        from the first again: a look at a whole table at once would hold up all else.
        """
        if self._memory_days is None:
            return []
        found: list[str] = []
        day = today()
        states = self.store.scan(partition, start=self._swept.pop(partition, None))
        for looked_at, (key, data) in enumerate(states, start=1):
            age_days = day - written_day(data)
            if age_days > WINDOW_DAYS and age_days > self._memory_days(self.codec.decode(data)):
                found.append(key.decode())
            if looked_at >= limit:
                self._swept[partition] = key + b"\0"
                break
        return found

    def first_keys(
        self, partition: int, is_wanted: Callable[[str], bool], *, limit: int, start: str = ""
    ) -> list[str]:
        """Keys of a partition from `start` on, up to the first that is not wanted."""
        keys: list[str] = []
        for raw, _ in self.store.scan(partition, start=start.encode() or None):
            key = raw.decode()
            if len(keys) >= limit or not is_wanted(key):
                break
            keys.append(key)
        return keys

    def scan(self, partition: int, *, start: str | None = None) -> Iterator[tuple[str, S]]:
        """Every (key, state) of a partition from `start` on, in order of keys."""
        for key, data in self.store.scan(partition, start=start.encode() if start else None):
            yield key.decode(), self.codec.decode(data)

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Store what another worker has written; forget what was indexed of these partitions.

        They may be no new ones: a worker that is taken for dead and joins again keeps what it is
        given back, though others have had it meanwhile.
        """
        events = list(batch)
        if self.due is not None:
            for partition in {event.message.partition for event in events}:
                self.due.forget(partition)
        super().apply_changelog_batch(events)

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Forget what was indexed of partitions that leave or come."""
        for tp in revoked | newly_assigned:
            if tp.topic == self.changelog_topic_name:
                self._swept.pop(tp.partition, None)
                if self.due is not None:
                    self.due.forget(tp.partition)
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    def _new_store(self) -> PartitionStore:
        return PartitionStore(
            "rocksdb://",
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            value_type=self.value_type,
            driver="rocksdict",
            store_options=self._store_options,
            loop=self.loop,
        )

    def _new_changelog_topic(self, **_: Any) -> TopicT:
        # As Faust's, but raw: recovery copies bytes, it need not understand them.
        return self.app.topic(
            self._changelog_topic_name(),
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            compacting=True,
            acks=False,
            internal=True,
            maxsize=_CHANGELOG_BUFFER,
            allow_empty=True,
        )
