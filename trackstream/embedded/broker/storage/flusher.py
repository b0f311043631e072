"""Fsync, off the event loop: what was written reaches the disk at most an interval later.

Every write is in the operating system's hands before it is acknowledged, so it survives the end
of this process; what this adds is surviving a power cut. An interval of 0 makes `flushed` wait
for the disk, so that an acknowledgement means "on the disk".
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class Flushable(Protocol):
    """A file that was written to."""

    @property
    def file(self) -> int:
        """Its descriptor."""


class Flusher:
    """Collects files that were written to, and syncs them together."""

    def __init__(self, interval_ms: int) -> None:
        self._interval_s = interval_ms / 1000
        self._dirty: dict[Flushable, Callable[[str], None]] = {}
        self._lock = asyncio.Lock()

    def add(self, written: Flushable, on_failure: Callable[[str], None]) -> None:
        """Note a file; `on_failure` hears why, if it cannot be synced."""
        self._dirty[written] = on_failure

    def discard(self, written: Flushable) -> None:
        """Forget a file that is deleted or closed."""
        self._dirty.pop(written, None)

    async def run(self) -> None:
        """Sync every interval, for ever."""
        while True:
            await asyncio.sleep(self._interval_s or 1)
            await self.flush()

    async def flushed(self) -> None:
        """Return when an acknowledgement may be sent under the policy."""
        if self._interval_s == 0:
            await self.flush()

    @property
    def delays_acknowledgements(self) -> bool:
        """Whether `flushed` has anything to wait for."""
        return self._interval_s == 0

    async def flush(self) -> None:
        """Sync everything that was written until now."""
        async with self._lock:
            dirty, self._dirty = self._dirty, {}
            # Duplicates, because the loop may close a file while a thread syncs it.
            files = [(os.dup(item.file), item, failed) for item, failed in dirty.items()]
            if not files:
                return
            errors = await asyncio.to_thread(_sync_all, [file for file, _, _ in files])
            for (_, _, failed), error in zip(files, errors, strict=True):
                if error is not None:
                    failed(f"fsync: {error}")


def _sync_all(files: list[int]) -> list[OSError | None]:
    errors: list[OSError | None] = []
    for file in files:
        try:
            os.fsync(file)
            errors.append(None)
        except OSError as error:
            errors.append(error)
        finally:
            os.close(file)
    return errors
