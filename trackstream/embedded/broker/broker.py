"""The broker: what it owns, and how that is opened, tended and closed."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from trackstream.embedded.broker.coordination.coordinator import Groups
from trackstream.embedded.broker.coordination.offsets import Offsets
from trackstream.embedded.broker.coordination.transactions import Transactions
from trackstream.embedded.broker.directory import DataDirectory
from trackstream.embedded.broker.storage import compaction
from trackstream.embedded.broker.storage.flusher import Flusher
from trackstream.embedded.broker.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.embedded.broker.settings import BrokerSettings
    from trackstream.embedded.broker.storage.journal import Journal

log = logging.getLogger(__name__)

NODE_ID = 1
_TRANSACTION_TICK_S = 0.5


class Broker:
    """Everything behind the sockets. `address` is what clients are told to connect to."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.settings = settings
        self.directory = DataDirectory(settings.data_dir)
        self.flusher = Flusher(settings.fsync_interval_ms)
        root = settings.data_dir
        self.topics = Topics(root, settings.topic_defaults, self.flusher)
        self.offsets = Offsets(root / "offsets.journal", self._to_sync("offsets"))
        self.groups = Groups(
            root / "groups.journal",
            self._to_sync("groups"),
            self.offsets,
            initial_delay_ms=settings.group_initial_rebalance_delay_ms,
            min_session_timeout_ms=settings.group_min_session_timeout_ms,
            max_session_timeout_ms=settings.group_max_session_timeout_ms,
            offsets_retention_ms=settings.offsets_retention_ms,
        )
        self.transactions = Transactions(
            root / "transactions.journal",
            self._to_sync("transactions"),
            partition=self.topics.partition,
            offsets=self.offsets,
            max_timeout_ms=settings.transaction_max_timeout_ms,
        )
        self.stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def _to_sync(self, name: str) -> Callable[[Journal], None]:
        def failed(reason: str) -> None:
            log.error("the journal of %s could not be synced: %s", name, reason)

        return lambda journal: self.flusher.add(journal, failed)

    def open(self) -> None:
        """Lock the data directory and recover everything in it.

        Raises:
            BrokerStartError: the directory is in use, or not ours.
        """
        self.directory.open()
        began_s = time.monotonic()
        self.topics.open()
        self.offsets.open()
        self.groups.open()
        self.transactions.open()
        log.info(
            "recovered %d partitions in %.0f ms",
            len(self.topics.partitions()),
            (time.monotonic() - began_s) * 1000,
        )

    def start(self) -> None:
        """Begin to do what is done regularly."""
        self._tasks = [
            asyncio.create_task(work)
            for work in (
                self.flusher.run(),
                self.groups.sweep(),
                self._tick_transactions(),
                self._maintain(),
            )
        ]

    async def close(self) -> None:
        """Stop the regular work, sync and close all files."""
        self.stopping.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.flusher.flush()
        self.groups.close()
        self.topics.close()
        self.offsets.close()
        self.transactions.close()
        self.directory.close()

    async def _tick_transactions(self) -> None:
        while True:
            await asyncio.sleep(_TRANSACTION_TICK_S)
            self.transactions.tick()

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(self.settings.maintenance_interval_ms / 1000)
            try:
                await self.maintain()
            except Exception:
                # A full disk, say: the next round tries again, and the broker serves on.
                log.exception("maintenance failed")

    async def maintain(self) -> None:
        """Apply retention and compaction, and forget what is too old."""
        for partition in self.topics.partitions():
            now_ms = int(time.time() * 1000)
            partition.apply_retention(now_ms)
            partition.producers.forget_idle(
                now_ms - self.settings.producer_id_expiration_ms, partition.transactions.open
            )
            if partition.log.config.is_compacted and not partition.closed:
                partition.roll_if_overdue(now_ms)
                await compaction.compact(partition)
            await asyncio.sleep(0)
        self.groups.expire_offsets()
        await asyncio.to_thread(self.topics.empty_trash)
