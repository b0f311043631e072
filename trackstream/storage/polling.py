"""Something of PostgreSQL in memory, kept up with by looking at it every few seconds."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from trackstream.storage.errors import StorageUnavailableError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

__all__ = ["REFRESH_S", "Polled"]

REFRESH_S = 2.0

S = TypeVar("S")


class Polled(Generic[S]):
    """A snapshot in memory. While PostgreSQL is away the last known stays; that is logged once.

    Args:
        read: From the last snapshot to the newest; blocks.
        first: What is known before anything was read.
        what: What it is, in the plural, for the log.
        log: Where that is told.
        refresh_s: How often `read` is called.

    Attributes:
        now: The last snapshot.
        as_of_ms: When the reading of the last snapshot began, epoch milliseconds.
        why: Why the last reading failed; empty if it did not.
    """

    def __init__(
        self,
        read: Callable[[S], S],
        first: S,
        *,
        what: str,
        log: logging.Logger,
        refresh_s: float = REFRESH_S,
    ) -> None:
        self.now = first
        self.as_of_ms = 0
        self.why = ""
        self._read = read
        self._what = what
        self._log = log
        self._refresh_s = refresh_s
        self._refreshing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read it and keep up with it. When PostgreSQL is away: later."""
        await self.refresh()
        self._refreshing = asyncio.create_task(self._keep_up(), name=f"polling {self._what}")

    async def stop(self) -> None:
        """Stop keeping up."""
        task, self._refreshing = self._refreshing, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def refresh(self) -> None:
        """Look now. Raises nothing."""
        began_ms = time.time_ns() // 1_000_000
        try:
            self.now = await asyncio.to_thread(self._read, self.now)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next time may do better
            self._note(error)
        else:
            if self.why:
                self._log.info("%s are read from PostgreSQL again", self._what)
            self.why = ""
            self.as_of_ms = max(self.as_of_ms, began_ms)

    def _note(self, error: Exception) -> None:
        """Log why it was not read; the same why only once."""
        before, self.why = self.why, str(error) or repr(error)
        if isinstance(error, StorageUnavailableError | SQLAlchemyError):
            if not before:
                self._log.warning("%s stay as they were read last: %s", self._what, error)
        elif self.why != before:
            self._log.error("%s stay as they were read last", self._what, exc_info=error)

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            await self.refresh()
