"""A spool file as an event loop uses it: many append, whose messages share a transaction."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from typing import TYPE_CHECKING, Any, TypeVar

from trackstream.storage.spool.file import SpoolFile
from trackstream.storage.spool.rows import size_bytes
from trackstream.storage.spool.state import SpoolFullError, SpoolUnusableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from trackstream.storage.spool.rows import Message, Stored
    from trackstream.storage.spool.slots import Slot
    from trackstream.storage.spool.state import SpoolState

__all__ = ["DiskQueue"]

_log = logging.getLogger(__name__)

_GROUP_REQUESTS = 512
_GROUP_BYTES = 4 * 2**20
_HEAD_MESSAGES = 1_000
_HEAD_BYTES = 2**20

T = TypeVar("T")


class DiskQueue:
    """One spool file: appended to by requests, read and emptied by one drain.

    Args:
        slot: the file's place; released by `close`.
        executor: one thread, in which all of the disk's work is done.
        max_bytes: bound of what is kept.
        clock_ms: the time now, in epoch milliseconds.
        state: counts errors and requests for which there was no room.
    """

    def __init__(
        self,
        slot: Slot,
        *,
        executor: Executor,
        max_bytes: int,
        clock_ms: Callable[[], int],
        state: SpoolState,
    ) -> None:
        self._slot = slot
        self._file = SpoolFile(slot, state)
        self._executor = executor
        self._max_bytes = max_bytes
        self._clock_ms = clock_ms
        self._state = state
        self._pending: list[tuple[list[Message], asyncio.Future[None]]] = []
        self._committing: asyncio.Task[None] | None = None
        self._appending = 0
        self.filled = asyncio.Event()
        """Set while there is something to drain."""
        self.emptied = asyncio.Event()
        """Set while nothing is kept."""
        self.emptied.set()
        self.refusing = False
        """Whether what came last was not kept."""
        self._is_failing = False

    @property
    def empty(self) -> bool:
        """Whether nothing is kept or being kept."""
        return not self._file.messages and not self._appending

    @property
    def messages(self) -> int:
        """How many are kept."""
        return self._file.messages

    @property
    def size_bytes(self) -> int:
        """Their size."""
        return self._file.size_bytes

    @property
    def oldest_at_ms(self) -> int | None:
        """When the oldest was accepted."""
        return self._file.oldest_at_ms

    async def open(self) -> None:
        """Open the file and see what it has.

        Raises:
            SpoolUnusableError: it cannot be opened; the next use tries again.
        """
        await self._run(self._file.open)
        self._note_filling()

    async def append(self, messages: list[Message]) -> None:
        """Return when all of the messages are on the disk.

        Raises:
            SpoolFullError: there is no room; none of them was kept.
            SpoolUnusableError: the disk failed; none of them was kept.
        """
        done = asyncio.get_running_loop().create_future()
        self._appending += 1
        self._pending.append((messages, done))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit(), name="spool-commit")
        try:
            await done
        finally:
            self._appending -= 1

    async def head(self) -> list[Stored]:
        """The oldest messages, in order; empty only if there is none.

        Raises:
            SpoolUnusableError: the disk failed.
        """
        return await self._run(self._file.head, max_messages=_HEAD_MESSAGES, max_bytes=_HEAD_BYTES)

    async def remove(self, stored: list[Stored]) -> None:
        """Forget what `head` gave, at least in this process, if the disk fails."""
        with contextlib.suppress(SpoolUnusableError):
            await self._run(self._file.remove, stored)
            self.refusing = False
        if self.empty:
            self.refusing = False
        if not self._file.messages:
            self.emptied.set()

    async def probe(self) -> None:
        """After a failure of the disk, see whether it is over."""
        if self._is_failing:
            with contextlib.suppress(SpoolUnusableError):
                await self._run(self._file.probe)
                self.refusing = self._is_failing = False

    async def close(self, *, delete: bool = False) -> None:
        """Wait for what is being kept, close the file, and let others have it; twice is once.

        Args:
            delete: whether the file, which is empty, goes.
        """
        if self._committing is not None:
            await self._committing
        await self._run(self._close, delete=delete)

    def _close(self, *, delete: bool) -> None:
        """In the thread, so that whoever stops waiting lets nobody in before the files are gone."""
        try:
            if delete and not self._slot.released:
                self._file.delete()
            self._file.close()
        finally:
            self._slot.release()

    async def _commit(self) -> None:
        """Write what is pending, and what has become pending meanwhile, until nothing is."""
        while self._pending:
            group: list[tuple[list[Message], asyncio.Future[None]]] = []
            size = 0
            for one in self._pending[:_GROUP_REQUESTS]:
                group.append(one)
                size += size_bytes(one[0])
                if size >= _GROUP_BYTES:
                    break
            del self._pending[: len(group)]
            await self._commit_group(group)
        self._committing = None

    async def _commit_group(self, group: list[tuple[list[Message], asyncio.Future[None]]]) -> None:
        try:
            kept = await self._run(
                self._file.append,
                [messages for messages, _ in group],
                at_ms=self._clock_ms(),
                max_bytes=self._max_bytes,
            )
        except SpoolUnusableError as error:
            self.refusing = self._is_failing = True
            for _, done in group:
                if not done.done():
                    done.set_exception(error)
            return
        self._note_filling()
        self.refusing = not all(kept)
        self._is_failing = False
        for (messages, done), is_kept in zip(group, kept, strict=True):
            if is_kept:
                self._state.spooled += len(messages)
            else:
                self._state.full += 1
            if done.done():  # whoever waited for it has gone
                continue
            if is_kept:
                done.set_result(None)
            else:
                done.set_exception(
                    SpoolFullError(f"the spool has no room below {self._max_bytes} bytes")
                )

    def _note_filling(self) -> None:
        if self._file.messages:
            self.filled.set()
            self.emptied.clear()

    async def _run(self, work: Callable[..., T], *args: Any, **options: Any) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, lambda: work(*args, **options))
        except Exception as error:  # whoever waits for the disk goes on, whatever it is
            self._state.errors += 1
            expected = isinstance(error, sqlite3.Error | OSError)
            _log.error(
                "the spool %s cannot be used: %s",
                self._slot.path, error, exc_info=None if expected else error,
            )  # fmt: skip
            await loop.run_in_executor(self._executor, self._file.after, error)
            raise SpoolUnusableError(f"the spool cannot be used: {error}") from error
