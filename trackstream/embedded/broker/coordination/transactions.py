"""The transaction coordinator: producer ids, epochs, and transactions over many partitions.

A transaction's end is decided when the decision is in the journal; then the markers are written to
its partitions and its offsets are committed. A start finishes what a kill left between.
Rules: KIP-98, KIP-360 (epochs), KIP-447 (offsets of groups).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from trackstream.embedded.broker.coordination.transaction import State, Transaction
from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.storage.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from trackstream.embedded.broker.coordination.offsets import Committed, Offsets, Place
    from trackstream.embedded.broker.storage.batches import BatchHeader
    from trackstream.embedded.broker.storage.partition import Partition

log = logging.getLogger(__name__)

_ID_BLOCK = 1000
_LAST_EPOCH = 2**15 - 2


class Identity(NamedTuple):
    """What a producer that starts is told."""

    error: ErrorCode
    producer_id: int = -1
    epoch: int = -1


class Transactions:
    """All transactional ids, in memory and in a journal.

    Methods return error codes for what a client may not do; where the disk refuses, they answer
    `COORDINATOR_NOT_AVAILABLE`, which clients retry.
    """

    def __init__(
        self,
        path: Path,
        on_append: Callable[[Journal], None],
        *,
        partition: Callable[[str, int], Partition | None],
        offsets: Offsets,
        max_timeout_ms: int,
    ) -> None:
        self._partition = partition
        self._offsets = offsets
        self._max_timeout_ms = max_timeout_ms
        self._by_id: dict[str, Transaction] = {}
        self._by_producer: dict[int, Transaction] = {}
        self._next_id = 0
        self._reserved_until = 0
        self._journal = Journal(path, self._records, on_append)

    def open(self) -> None:
        """Read the journal, and carry out what was decided."""
        for record in self._journal.load():
            match record:
                case ["ids", reserved_until]:
                    self._next_id = self._reserved_until = reserved_until
                case ["transaction", transactional_id, dumped]:
                    self._by_id[transactional_id] = Transaction.restore(transactional_id, dumped)
        self._by_producer = {item.producer_id: item for item in self._by_id.values()}
        for transaction in self._by_id.values():
            self._carry_out(transaction)

    def _records(self) -> Iterator[Any]:
        yield ["ids", self._reserved_until]
        for transaction in self._by_id.values():
            yield ["transaction", transaction.id, transaction.dump()]

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def new_producer(self) -> Identity:
        """Return an identity for an idempotent producer without transactions."""
        try:
            return Identity(ErrorCode.NONE, self._new_id(), 0)
        except OSError as error:
            return Identity(_unavailable(error))

    def begin_session(  # noqa: PLR0911 - one refusal a line
        self, transactional_id: str, timeout_ms: int, producer_id: int, epoch: int
    ) -> Identity:
        """Let a transactional producer start; whoever had its id before is fenced off.

        `producer_id` and `epoch` are those that the producer has, or -1: an older one may not
        come back. An open transaction is aborted.
        """
        if not transactional_id:
            return Identity(ErrorCode.INVALID_REQUEST)
        if not 0 < timeout_ms <= self._max_timeout_ms:
            return Identity(ErrorCode.INVALID_TRANSACTION_TIMEOUT)
        known = self._by_id.get(transactional_id)
        try:
            if known is None:
                known = Transaction(transactional_id, self._new_id(), 0, timeout_ms)
                self._save(known)
                self._by_id[transactional_id] = self._by_producer[known.producer_id] = known
                return Identity(ErrorCode.NONE, known.producer_id, known.epoch)
            if producer_id >= 0 and (producer_id, epoch) != (known.producer_id, known.epoch):
                return Identity(ErrorCode.PRODUCER_FENCED)
            if known.state is State.ONGOING:
                self._decide(known, State.ABORTING, fence=True)
            if known.is_ending:
                return Identity(ErrorCode.CONCURRENT_TRANSACTIONS)
            self._next_epoch(known, timeout_ms)
        except OSError as error:
            return Identity(_unavailable(error))
        return Identity(ErrorCode.NONE, known.producer_id, known.epoch)

    def check_batch(self, header: BatchHeader, place: Place) -> ErrorCode:
        """Return whether a transactional batch may be written to a partition now."""
        transaction = self._by_producer.get(header.producer_id)
        if transaction is None:
            return ErrorCode.INVALID_PRODUCER_ID_MAPPING
        if header.producer_epoch != transaction.epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if transaction.state is not State.ONGOING or place not in transaction.partitions:
            return ErrorCode.INVALID_TXN_STATE
        return ErrorCode.NONE

    def add_partitions(
        self, transactional_id: str, producer_id: int, epoch: int, places: Iterable[Place]
    ) -> ErrorCode:
        """Take partitions into the transaction, which begins if none is open."""
        transaction, error = self._find(transactional_id, producer_id, epoch)
        if transaction is None:
            return error
        new = set(places) - transaction.partitions
        if transaction.state is State.ONGOING and not new:
            return ErrorCode.NONE
        return self._extend(transaction, places=new)

    def add_group(
        self, transactional_id: str, producer_id: int, epoch: int, group: str
    ) -> ErrorCode:
        """Take a group's offsets into the transaction, which begins if none is open."""
        transaction, error = self._find(transactional_id, producer_id, epoch)
        if transaction is None:
            return error
        return self._extend(transaction, group=group)

    def commit_offsets(
        self,
        transactional_id: str,
        producer_id: int,
        epoch: int,
        group: str,
        items: dict[Place, Committed],
    ) -> ErrorCode:
        """Note offsets that become a group's if the transaction commits."""
        transaction, error = self._find(transactional_id, producer_id, epoch)
        if transaction is None:
            return error
        if transaction.state is not State.ONGOING or group not in transaction.groups:
            return ErrorCode.INVALID_TXN_STATE
        before = transaction.offsets.get(group, {})
        transaction.offsets[group] = before | items
        try:
            self._save(transaction)
        except OSError as disk_error:
            transaction.offsets[group] = before
            return _unavailable(disk_error)
        return ErrorCode.NONE

    def end(
        self, transactional_id: str, producer_id: int, epoch: int, *, commit: bool
    ) -> ErrorCode:
        """Commit or abort; success means that it is decided, and cannot be lost."""
        transaction, error = self._find(transactional_id, producer_id, epoch)
        if transaction is None:
            return error
        if transaction.state is (State.COMMITTED if commit else State.ABORTED):
            return ErrorCode.NONE
        if transaction.state is not State.ONGOING:
            return ErrorCode.INVALID_TXN_STATE
        try:
            self._decide(transaction, State.COMMITTING if commit else State.ABORTING)
        except OSError as disk_error:
            return _unavailable(disk_error)
        return ErrorCode.NONE

    def pending_places(self, group: str) -> set[Place]:
        """Return where a group's offsets may change when an open transaction ends."""
        return {
            place
            for transaction in self._by_id.values()
            if transaction.state is State.ONGOING or transaction.is_ending
            for place in transaction.offsets.get(group, ())
        }

    def tick(self) -> None:
        """Abort what has been open too long, and go on with what could not be carried out."""
        now_ms = int(time.time() * 1000)
        for transaction in self._by_id.values():
            try:
                if (
                    transaction.state is State.ONGOING
                    and now_ms - transaction.began_ms > transaction.timeout_ms
                ):
                    log.info("transaction %s timed out", transaction.id)
                    self._decide(transaction, State.ABORTING, fence=True)
                elif transaction.is_ending:
                    self._carry_out(transaction)
            except OSError as error:
                log.error("transaction %s: %s", transaction.id, error)  # noqa: TRY400 - expected; the stack says nothing

    def _find(
        self, transactional_id: str, producer_id: int, epoch: int
    ) -> tuple[Transaction | None, ErrorCode]:
        transaction = self._by_id.get(transactional_id)
        if transaction is None or transaction.producer_id != producer_id:
            return None, ErrorCode.INVALID_PRODUCER_ID_MAPPING
        if transaction.epoch != epoch:
            return None, ErrorCode.PRODUCER_FENCED
        if transaction.is_ending:
            return None, ErrorCode.CONCURRENT_TRANSACTIONS
        return transaction, ErrorCode.NONE

    def _extend(
        self, transaction: Transaction, *, places: Iterable[Place] = (), group: str | None = None
    ) -> ErrorCode:
        before = (
            transaction.state,
            transaction.began_ms,
            set(transaction.partitions),
            set(transaction.groups),
        )
        if transaction.state is not State.ONGOING:
            transaction.state = State.ONGOING
            transaction.began_ms = int(time.time() * 1000)
        transaction.partitions.update(places)
        if group is not None:
            transaction.groups.add(group)
        try:
            self._save(transaction)
        except OSError as error:
            (
                transaction.state,
                transaction.began_ms,
                transaction.partitions,
                transaction.groups,
            ) = before
            return _unavailable(error)
        return ErrorCode.NONE

    def _decide(self, transaction: Transaction, state: State, *, fence: bool = False) -> None:
        before = transaction.state, transaction.epoch
        transaction.state = state
        transaction.epoch += fence
        try:
            self._save(transaction)
        except OSError:
            transaction.state, transaction.epoch = before
            raise
        self._carry_out(transaction)

    def _carry_out(self, transaction: Transaction) -> None:
        """Write the markers and commit the offsets of a decided transaction; may be repeated."""
        if not transaction.is_ending:
            return
        commit = transaction.state is State.COMMITTING
        for topic, index in sorted(transaction.partitions):
            partition = self._partition(topic, index)
            if partition is not None and not partition.end_transaction(
                transaction.producer_id, transaction.epoch, commit=commit
            ):
                log.warning("transaction %s: no marker in %s yet", transaction.id, partition)
                return
        try:
            if commit:
                for group, items in transaction.offsets.items():
                    self._offsets.commit(group, items.items())
            done = Transaction(
                transaction.id,
                transaction.producer_id,
                transaction.epoch,
                transaction.timeout_ms,
                State.COMMITTED if commit else State.ABORTED,
            )
            self._save(done)
        except OSError as error:
            log.warning("transaction %s is not carried out yet: %s", transaction.id, error)
            return
        transaction.state = done.state
        transaction.partitions, transaction.groups, transaction.offsets = set(), set(), {}

    def _next_epoch(self, transaction: Transaction, timeout_ms: int) -> None:
        """Fence off the last session; when the epochs are used up, take another producer id."""
        fresh = Transaction(
            transaction.id, transaction.producer_id, transaction.epoch + 1, timeout_ms
        )
        if fresh.epoch >= _LAST_EPOCH:
            fresh.producer_id, fresh.epoch = self._new_id(), 0
        self._save(fresh)
        self._by_producer.pop(transaction.producer_id, None)
        transaction.producer_id, transaction.epoch = fresh.producer_id, fresh.epoch
        transaction.timeout_ms, transaction.state = timeout_ms, State.EMPTY
        self._by_producer[transaction.producer_id] = transaction

    def _new_id(self) -> int:
        if self._next_id >= self._reserved_until:
            self._journal.append(["ids", self._next_id + _ID_BLOCK])
            self._reserved_until = self._next_id + _ID_BLOCK
        self._next_id += 1
        return self._next_id - 1

    def _save(self, transaction: Transaction) -> None:
        self._journal.append(["transaction", transaction.id, transaction.dump()])


def _unavailable(error: OSError) -> ErrorCode:
    log.error("the journal of transactions cannot be written: %s", error)
    return ErrorCode.COORDINATOR_NOT_AVAILABLE
