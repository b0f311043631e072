"""A partition: its log, its producers and transactions, and those who wait for its records."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.storage import batches, compression
from trackstream.embedded.broker.storage.log import Log
from trackstream.embedded.broker.storage.producers import Producers
from trackstream.embedded.broker.storage.transaction_index import (
    AbortedTransaction,
    TransactionIndex,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackstream.embedded.broker.storage.batches import BatchHeader
    from trackstream.embedded.broker.storage.segment import Segment
    from trackstream.embedded.broker.topic_config import TopicConfig

log = logging.getLogger(__name__)

LEADER_EPOCH = 0
"""There is one node: leadership never changes."""

_STATE_FILE = "state.json"


class Appended(NamedTuple):
    """How a produced batch fared."""

    error: ErrorCode
    base_offset: int = -1
    append_time_ms: int = -1
    message: str | None = None


class Fetched(NamedTuple):
    """Batches for a reader."""

    error: ErrorCode
    records: bytes = b""
    aborted: list[AbortedTransaction] | None = None


class Partition:
    """One partition of one topic.

    `on_append` gets each segment that was written to, for syncing. After an error from which the
    files may differ from what this object thinks, `failed` is set: everything is answered with
    a storage error until the broker starts anew and recovers.
    """

    def __init__(
        self,
        topic: str,
        index: int,
        directory: Path,
        config: TopicConfig,
        on_append: Callable[[Partition, Segment], None],
    ) -> None:
        self.topic = topic
        self.index = index
        self.log = Log(directory, config)
        self.producers = Producers()
        self.transactions = TransactionIndex()
        self.waiters: set[Callable[[], None]] = set()
        self.failed = False
        self.closed = False
        self.cleaning = False
        self._on_append = on_append
        self._state_path = directory / _STATE_FILE

    def __repr__(self) -> str:
        return f"{self.topic}-{self.index}"

    @property
    def last_stable_offset(self) -> int:
        """The offset before which every transaction has ended."""
        return self.transactions.last_stable_offset(self.log.end_offset)

    def open(self) -> None:
        """Recover the log, and from it what is known of producers and transactions."""
        self.log.open()
        replay_from = self._restore_state()
        now_ms = int(time.time() * 1000)
        for segment, position, header in self.log.headers(replay_from):
            if header.base_offset < replay_from:
                continue
            commit = header.is_control and batches.is_commit(
                segment.read_batch(position, header), header
            )
            self._note(header, now_ms, commit=commit)

    def _restore_state(self) -> int:
        """Take the saved state; return the offset from which batches must be replayed."""
        try:
            state = json.loads(self._state_path.read_bytes())
        except FileNotFoundError:
            return self.log.start_offset
        except ValueError:
            log.warning("%s: its saved state is damaged; reading the whole log", self)
            return self.log.start_offset
        self.log.start_offset = min(
            max(self.log.start_offset, state["start_offset"]), self.log.end_offset
        )
        if state["end_offset"] > self.log.end_offset:
            return self.log.segments[0].base_offset
        self.producers.restore(state["producers"])
        self.transactions.restore(state["transactions"])
        return int(state["end_offset"])

    def save_state(self) -> None:
        """Save what `open` would otherwise have to learn from the log."""
        state = {
            "end_offset": self.log.end_offset,
            "start_offset": self.log.start_offset,
            "producers": self.producers.dump(),
            "transactions": self.transactions.dump(),
        }
        temporary = self._state_path.with_suffix(".new")
        temporary.write_text(json.dumps(state))
        temporary.replace(self._state_path)

    def _save_state_if_possible(self) -> None:
        """Save the state where failing only makes the next start slower."""
        try:
            self.save_state()
        except OSError as error:
            log.warning("%s: state not saved: %s", self, error)

    def produce(  # noqa: PLR0911 - one refusal a line
        self, data: memoryview, check_transaction: Callable[[BatchHeader], ErrorCode]
    ) -> Appended:
        """Append what a producer sent: one batch, checked as Kafka does.

        `check_transaction` says whether a transactional batch may be written here.
        """
        if self.failed:
            return Appended(ErrorCode.KAFKA_STORAGE_ERROR)
        try:
            header = batches.parse_header(data)
            if len(data) > header.size:
                return Appended(ErrorCode.INVALID_RECORD, message="more than one record batch")
            batches.check_crc(data, header)
        except batches.UnsupportedFormatError as error:
            return Appended(ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT, message=str(error))
        except batches.CorruptBatchError as error:
            return Appended(ErrorCode.CORRUPT_MESSAGE, message=str(error))
        refused = self._refusal(data, header)
        if refused is not None:
            return refused
        if header.is_transactional and (error_code := check_transaction(header)):
            return Appended(error_code)
        if header.producer_id >= 0 and header.base_sequence >= 0:
            error_code, duplicate = self.producers.check(header)
            if duplicate is not None:
                return Appended(ErrorCode.NONE, duplicate.base_offset)
            if error_code:
                return Appended(error_code)
        return self._append(bytearray(data), header)

    def _refusal(self, data: memoryview, header: BatchHeader) -> Appended | None:
        config = self.log.config
        if header.size > config.max_message_bytes:
            return Appended(ErrorCode.MESSAGE_TOO_LARGE)
        if header.is_control:
            return Appended(ErrorCode.INVALID_RECORD, message="clients may not write markers")
        if not header.record_count or header.record_count != header.last_offset_delta + 1:
            return Appended(ErrorCode.INVALID_RECORD, message="record count and offsets differ")
        if config.is_compacted and compression.available(header.codec):
            try:
                keyless = any(record.key is None for record in batches.records(data, header))
            except ValueError as error:
                return Appended(ErrorCode.CORRUPT_MESSAGE, message=str(error))
            if keyless:
                message = "Compacted topic cannot accept message without key"
                return Appended(ErrorCode.INVALID_RECORD, message=message)
        return None

    def _append(self, batch: bytearray, header: BatchHeader) -> Appended:
        now_ms = int(time.time() * 1000)
        append_time_ms = -1
        if self.log.config.message_timestamp_type == "LogAppendTime" and not header.is_control:
            batches.stamp_append_time(batch, header, now_ms)
            append_time_ms = now_ms
        batches.place(batch, self.log.end_offset, LEADER_EPOCH)
        header = batches.parse_header(batch)
        active = self.log.active
        try:
            segment = self.log.append(batch, header)
            self._note(
                header, now_ms, commit=header.is_control and batches.is_commit(batch, header)
            )
        except OSError as error:
            log.error("%s: append failed: %s", self, error)  # noqa: TRY400 - expected; the stack says nothing
            if self.log.active.is_torn:
                self.fail("a failed append could not be undone")
            return Appended(ErrorCode.KAFKA_STORAGE_ERROR, message=str(error))
        self._on_append(self, segment)
        if segment is not active:
            self._save_state_if_possible()
        self.wake()
        return Appended(ErrorCode.NONE, header.base_offset, append_time_ms)

    def _note(self, header: BatchHeader, now_ms: int, *, commit: bool) -> None:
        if header.producer_id >= 0:
            self.producers.note(header, now_ms)
        if header.is_control:
            self.transactions.note_marker(header, commit=commit)
        else:
            self.transactions.note(header)

    def end_transaction(self, producer_id: int, producer_epoch: int, *, commit: bool) -> bool:
        """Write the marker that ends a producer's transaction; False if the disk refused.

        Does nothing where the producer has no open transaction, so it may be repeated.
        """
        if self.failed:
            return False
        if producer_id not in self.transactions.open:
            return True
        now_ms = int(time.time() * 1000)
        marker = batches.control_batch(producer_id, producer_epoch, commit=commit, now_ms=now_ms)
        return self._append(marker, batches.parse_header(marker)).error == ErrorCode.NONE

    def fetch(self, offset: int, max_bytes: int, *, committed_only: bool) -> Fetched:
        """Read batches from `offset`; an empty answer means that there is nothing yet."""
        if self.failed:
            return Fetched(ErrorCode.KAFKA_STORAGE_ERROR)
        if not self.log.start_offset <= offset <= self.log.end_offset:
            return Fetched(ErrorCode.OFFSET_OUT_OF_RANGE)
        limit = self.last_stable_offset if committed_only else self.log.end_offset
        if offset >= limit or max_bytes <= 0:
            return Fetched(ErrorCode.NONE, aborted=[] if committed_only else None)
        try:
            data = self.log.read(offset, max_bytes, limit)
        except OSError as error:
            log.error("%s: read failed: %s", self, error)  # noqa: TRY400 - expected; the stack says nothing
            return Fetched(ErrorCode.KAFKA_STORAGE_ERROR)
        aborted = self.transactions.aborted_between(offset, limit) if committed_only else None
        return Fetched(ErrorCode.NONE, data, aborted)

    def delete_records(self, before_offset: int) -> None:
        """Move the start of the log; whole segments before it go with the next retention."""
        self.log.start_offset = max(self.log.start_offset, before_offset)
        self.save_state()

    def apply_retention(self, now_ms: int) -> None:
        """Delete the segments that retention no longer wants."""
        if self.cleaning or self.closed or self.failed:
            return
        count = self.log.expired_segments(now_ms)
        if not count:
            return
        log.info("%s: deleting %d segments before their next offset", self, count)
        self.log.delete_oldest(count)
        self.transactions.forget_aborted(self.log.start_offset)
        self.save_state()

    def roll_if_overdue(self, now_ms: int) -> None:
        """Close the active segment if compaction may not wait for it any longer."""
        active = self.log.active
        overdue = now_ms - active.first_timestamp > self.log.config.max_compaction_lag_ms
        if active.size and overdue and not (self.closed or self.failed or self.cleaning):
            self.log.roll()
            self._save_state_if_possible()

    def wake(self) -> None:
        """Let those who wait for records look again."""
        waiters, self.waiters = self.waiters, set()
        for wake in waiters:
            wake()

    def fail(self, reason: str) -> None:
        """Serve no more from this partition: its files can no longer be trusted."""
        log.error("%s: taken out of service until the broker restarts: %s", self, reason)
        self.failed = True
        self.wake()

    def close(self, *, save: bool = True) -> None:
        """Close the files; `save` makes the next start fast."""
        if not self.closed:
            self.closed = True
            if save and not self.failed:
                self._save_state_if_possible()
            self.log.close(save_index=save and not self.failed)
            self.wake()
