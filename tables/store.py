"""RocksDB, one database per table and partition, addressed by partition.

Faust's own store takes the partition from the message being handled, which is wrong inside a
batch; and it gives every database a block cache of 2 GiB, where here all share one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rocksdict
from faust.stores import rocksdb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from faust.types import TP, CollectionT

__all__ = ["NotOwnedError", "PartitionStore", "StoreOptions"]

_WRITE_BUFFER_BYTES = 8 * 2**20
_BLOOM_BITS_PER_KEY = 10
_MAX_OPEN_FILES = 64
_LOGS_KEPT = 2


class NotOwnedError(LookupError):
    """The partition is not open on this worker: another one owns it, or a rebalance is on."""


class StoreOptions(rocksdb.RocksDBOptions):
    """How each database is opened.

    Args:
        block_cache_mib: Size of the one block cache that all databases opened with these share.
    """

    def __init__(self, block_cache_mib: int) -> None:
        super().__init__(use_rocksdict=True)
        self._cache = rocksdict.Cache(block_cache_mib * 2**20)

    def as_options(self) -> rocksdict.Options:
        """Options for one database. Memory: the shared cache plus two write buffers of 8 MiB."""
        blocks = rocksdict.BlockBasedOptions()
        blocks.set_block_cache(self._cache)
        blocks.set_bloom_filter(_BLOOM_BITS_PER_KEY, block_based=False)
        blocks.set_cache_index_and_filter_blocks(True)
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_max_open_files(_MAX_OPEN_FILES)
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        options.set_max_write_buffer_number(2)
        options.set_keep_log_file_num(_LOGS_KEPT)
        options.set_block_based_table_factory(blocks)
        return options


class PartitionStore(rocksdb.Store):
    """A Faust store whose reads and writes name their partition."""

    def __init__(self, *args: Any, store_options: StoreOptions, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rocksdb_options = store_options

    def read(self, partition: int, key: bytes) -> bytes | None:
        """The value, or None. Raises NotOwnedError if the partition is not open here."""
        value: bytes | None = self._open(partition).get(key)
        return value

    def write(
        self, partition: int, items: Iterable[tuple[bytes, bytes | None]], *, offset: int
    ) -> None:
        """Write all items (None deletes) and the changelog offset that they reach, atomically.

        Raises:
            NotOwnedError: The partition is not open here.
        """
        database = self._open(partition)
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in items:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(self.offset_key, str(offset).encode())
        database.write(batch)

    def scan(self, partition: int, *, start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, value) from `start` on, in order of keys."""
        for key, value in self._open(partition).items(from_key=start):
            if key != self.offset_key:
                yield key, value

    def open_partitions(self) -> list[int]:
        """The partitions that this worker can read."""
        return sorted(self._dbs)

    def revoke_partitions(self, table: CollectionT, tps: set[TP]) -> None:
        """Close the databases of these partitions, so that they can be opened elsewhere."""
        for tp in tps:
            if tp.topic in table.changelog_topic.topics:
                self._close(tp.partition)

    async def stop(self) -> None:
        """Close everything."""
        for partition in list(self._dbs):
            self._close(partition)

    def _close(self, partition: int) -> None:
        database = self._dbs.pop(partition, None)
        if database is not None:
            database.close()

    def _open(self, partition: int) -> Any:
        try:
            return self._dbs[partition]
        except KeyError:
            raise NotOwnedError(
                f"partition {partition} of {self.table_name} is not on this worker"
            ) from None
