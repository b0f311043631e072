"""Compaction: of all records with one key, the newest stays.

The closed segments are read twice: once (only what was appended since the last time) to learn the
newest offset of each key, once to copy what stays. Offsets never change; records of aborted
transactions go, those of committed ones lose the mark of the transaction, so that its marker can
go as well. Tombstones and markers stay for `delete.retention.ms` after a segment is first cleaned,
so that a reader that started before sees them. Semantics:
https://kafka.apache.org/documentation/#compaction
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackstream.embedded.broker.storage import batches, compression
from trackstream.embedded.broker.storage.log import CLEANED_SUFFIX, SWAP_SUFFIX, Log
from trackstream.embedded.broker.storage.segment import file_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trackstream.embedded.broker.storage.batches import BatchHeader, Record
    from trackstream.embedded.broker.storage.partition import Partition
    from trackstream.embedded.broker.storage.segment import Segment
    from trackstream.embedded.broker.storage.transaction_index import AbortedTransaction

log = logging.getLogger(__name__)

MAX_KEYS = 500_000
"""Keys learnt in one pass (about 100 bytes of memory each); what remains waits for the next."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one pass will do: `dirty` segments are read for keys, `all` of them rewritten."""

    dirty: list[Segment]
    all: list[Segment]


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides whether a record stays."""

    newest: dict[bytes, int]
    known_until: int
    """Offsets from here on were not read for keys: their records stay."""
    aborted: dict[int, list[AbortedTransaction]]
    now_ms: int
    delete_retention_ms: int
    last_offset: int
    """The batch with this offset stays whole, so that readers reach the end of the log."""

    def age(self, segment: Segment) -> int:
        """Return when a segment was first cleaned, in quarters of the tombstones' time."""
        quarter_ms = max(self.delete_retention_ms // 4, 1)
        return (segment.cleaned_at_ms or self.now_ms) // quarter_ms


def plan(partition_log: Log, last_stable_offset: int, now_ms: int) -> Plan | None:
    """Decide whether to compact, and which segments; None if it is not worth it."""
    config = partition_log.config
    closed: list[Segment] = []
    for segment in partition_log.segments[:-1]:
        recent = now_ms - segment.newest_timestamp < config.min_compaction_lag_ms
        if segment.next_offset > last_stable_offset or (recent and not segment.cleaned_at_ms):
            break
        closed.append(segment)
    dirty = [segment for segment in closed if not segment.cleaned_at_ms]
    total = sum(segment.size for segment in closed)
    if not dirty:
        return None
    share = sum(segment.size for segment in dirty) / max(total, 1)
    oldest = min(segment.first_timestamp for segment in dirty)
    overdue = now_ms - oldest > config.max_compaction_lag_ms
    if share < config.min_cleanable_dirty_ratio and not overdue:
        return None
    return Plan(dirty, closed)


def learn(
    segments: Sequence[Segment], aborted: dict[int, list[AbortedTransaction]]
) -> tuple[dict[bytes, int], int]:
    """Return the newest offset of each key, and the offset up to which that is known.

    It stops between segments when it knows `MAX_KEYS`.
    """
    newest: dict[bytes, int] = {}
    known_until = segments[0].base_offset
    for segment in segments:
        if len(newest) >= MAX_KEYS:
            break
        view = segment.view()
        try:
            for position, header in view.walk(0):
                if header.is_control or _is_aborted(header, aborted):
                    continue
                for record in _readable(view.read_batch(position, header), header):
                    if record.key is not None:
                        newest[_digest(record.key)] = header.base_offset + record.offset_delta
        finally:
            view.close()
        known_until = segment.next_offset
    return newest, known_until


def rewrite(segments: Sequence[Segment], rules: Rules, max_bytes: int) -> tuple[Path, int]:
    """Copy what stays of the first segments into one `.swap` file of at most `max_bytes`.

    One segment is taken at least. Those that were cleaned at very different times stay apart:
    together, the tombstones of the older would have to wait for the younger's, pass after pass.

    Returns:
        The file, and how many segments it stands for.

    Raises:
        OSError: the disk refused, or the segments are gone; nothing is changed.
    """
    first = segments[0]
    directory = first.path.parent
    cleaned = directory / file_name(first.base_offset, CLEANED_SUFFIX)
    count = 0
    with cleaned.open("wb") as out:
        for segment in segments:
            fits = out.tell() + segment.size <= max_bytes
            if count and not (fits and rules.age(segment) == rules.age(first)):
                break
            view = segment.view()
            try:
                for kept in _kept_batches(view, rules):
                    out.write(kept)
            finally:
                view.close()
            count += 1
        out.flush()
        os.fsync(out.fileno())
    end = segments[count - 1].next_offset
    swap = directory / f"{first.base_offset:020d}-{end:020d}{SWAP_SUFFIX}"
    cleaned.replace(swap)
    return swap, count


async def compact(partition: Partition) -> bool:
    """Compact one partition if it is worth it; return whether anything was rewritten.

    Reading and writing happen in a thread; a finished segment is put in place on the event loop.
    """
    partition_log = partition.log
    now_ms = int(time.time() * 1000)
    todo = plan(partition_log, partition.last_stable_offset, now_ms)
    if todo is None or partition.cleaning or partition.closed or partition.failed:
        return False
    partition.cleaning = True
    size_before = partition_log.size
    try:
        partition.save_state()
        aborted = _by_producer(partition.transactions.aborted)
        newest, known_until = await asyncio.to_thread(learn, todo.dirty, aborted)
        rules = Rules(
            newest,
            known_until,
            aborted,
            now_ms,
            partition_log.config.delete_retention_ms,
            partition_log.end_offset - 1,
        )
        known = [segment for segment in todo.all if segment.next_offset <= known_until]
        while known:
            swap, count = await asyncio.to_thread(
                rewrite, known, rules, partition_log.config.segment_bytes
            )
            if partition.closed:
                return False
            group, known = known[:count], known[count:]
            cleaned_at_ms = max(segment.cleaned_at_ms or now_ms for segment in group)
            partition_log.replace(group, swap, cleaned_at_ms)
        partition.transactions.forget_aborted(known_until)
    except OSError as error:
        if not partition.closed:
            log.error("%s: compaction gave up: %s", partition, error)  # noqa: TRY400 - expected; the stack says nothing
        return False
    finally:
        partition.cleaning = False
    log.info("%s: compacted %d bytes to %d", partition, size_before, partition_log.size)
    return True


def _kept_batches(segment: Segment, rules: Rules) -> Iterator[bytes]:
    cleaned_at_ms = segment.cleaned_at_ms or rules.now_ms
    keep_tombstones = rules.now_ms < cleaned_at_ms + rules.delete_retention_ms
    for position, header in segment.walk(0):
        batch = segment.read_batch(position, header)
        if header.last_offset >= rules.last_offset:
            yield batch
        elif header.is_control:
            if keep_tombstones:
                yield batch
        elif not _is_aborted(header, rules.aborted):
            yield from _kept_of_batch(batch, header, rules, keep_tombstones=keep_tombstones)


def _kept_of_batch(
    batch: bytes, header: BatchHeader, rules: Rules, *, keep_tombstones: bool
) -> Iterator[bytes]:
    if not compression.available(header.codec):
        yield batch
        return
    kept = []
    for record in _readable(batch, header):
        offset = header.base_offset + record.offset_delta
        newest = rules.newest.get(_digest(record.key), -1) if record.key is not None else -1
        if newest <= offset and (keep_tombstones or not record.is_tombstone):
            kept.append(record.raw)
    if not kept:
        return
    if len(kept) == header.record_count and not header.is_transactional:
        yield batch
        return
    yield batches.build(
        kept,
        base_offset=header.base_offset,
        last_offset_delta=header.last_offset_delta,
        attributes=header.attributes & ~batches.TRANSACTIONAL,
        base_timestamp=header.base_timestamp,
        max_timestamp=header.max_timestamp,
        producer_id=header.producer_id,
        producer_epoch=header.producer_epoch,
        base_sequence=header.base_sequence,
        leader_epoch=header.leader_epoch,
    )


def _readable(batch: bytes, header: BatchHeader) -> Iterator[Record]:
    """Walk the records; a batch that cannot be inflated here has none to tell of."""
    if compression.available(header.codec):
        yield from batches.records(batch, header)


def _digest(key: bytes) -> bytes:
    return key if len(key) < 16 else hashlib.blake2b(key, digest_size=16).digest()


def _by_producer(
    aborted: Sequence[AbortedTransaction],
) -> dict[int, list[AbortedTransaction]]:
    by_producer: dict[int, list[AbortedTransaction]] = {}
    for transaction in aborted:
        by_producer.setdefault(transaction.producer_id, []).append(transaction)
    return by_producer


def _is_aborted(header: BatchHeader, aborted: dict[int, list[AbortedTransaction]]) -> bool:
    return header.is_transactional and any(
        transaction.first_offset <= header.base_offset < transaction.last_offset
        for transaction in aborted.get(header.producer_id, ())
    )
