"""What apps have set and counts from a moment on, in memory, kept up with PostgreSQL.

Rules and funnels alike: a version counts from its moment of the log's time on, so that all workers
change over at one message and a replay sees the same.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import select

from trackstream.storage.database import transaction
from trackstream.storage.errors import StorageUnavailableError
from trackstream.storage.polling import REFRESH_S, Polled
from trackstream.storage.rules import EFFECTIVE_AFTER_S
from trackstream.storage.schema import directory_version

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

__all__ = ["Book", "Versions"]

_START_S = 30.0
_RETRY_S = 0.5
_APART_S = 1.0

V = TypeVar("V")


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions(Generic[V]):
    """What was read last."""

    number: int = -1
    """Of the directory; less than 0: nothing was read yet."""
    moments: dict[str, list[int]] = field(default_factory=dict)
    """By app: from when on each version counts, in order, …"""
    active: dict[str, list[V]] = field(default_factory=dict)
    """… and what then does."""

    def place(self, app_id: str, at_ms: int) -> int:
        """The index in `active[app_id]` of what counts at a moment; less than 0: nothing."""
        moments = self.moments.get(app_id)
        return bisect_right(moments, at_ms) - 1 if moments else -1


S = TypeVar("S", bound=Versions[Any])


class Book(Generic[S]):
    """Answers from memory; a change is known before it counts.

    Args:
        engine: The database, migrated.
        read: From the directory's number and what was read last to what there is now.
        first: What is known before anything was read.
        what: What it is, in the plural, for the log.
        log: Where that is told.
        refresh_s: How often it is looked whether something has changed.
    """

    def __init__(
        self,
        engine: Engine,
        read: Callable[[Connection, int, S], S],
        first: S,
        *,
        what: str,
        log: logging.Logger,
        refresh_s: float = REFRESH_S,
    ) -> None:
        self._engine = engine
        self._read = read
        self._what = what
        self._looked_s = -_APART_S
        self._polled = Polled(self._newest, first, what=what, log=log, refresh_s=refresh_s)

    async def start(self, *, timeout_s: float = _START_S) -> None:
        """Read everything and keep up with it.

        Raises:
            StorageUnavailableError: It could not be read in this time. To go on without would
                decide and count wrongly, for ever.
        """
        await self._polled.start()
        try:
            async with asyncio.timeout(timeout_s):
                while self.now.number < 0:
                    await asyncio.sleep(_RETRY_S)
                    await self._polled.refresh()
        except TimeoutError as error:
            await self.stop()
            raise StorageUnavailableError(
                f"{self._what} cannot be read (is PostgreSQL there, and has `trackstream migrate` "
                f"made its tables?): {self._polled.why}"
            ) from error

    async def stop(self) -> None:
        """Stop keeping up, and disconnect."""
        await self._polled.stop()
        await asyncio.to_thread(self._engine.dispose)

    async def up_to(self, at_ms: int) -> None:
        """See to it that what counts at a moment is known, unless PostgreSQL is away.

        What counts then was set `EFFECTIVE_AFTER_S` before, and is known if it was looked since.
        It was not if this process stood still: when it goes on, messages may be there at once.
        """
        polled = self._polled
        known_ms = polled.as_of_ms + 1000 * EFFECTIVE_AFTER_S
        looked_s = time.monotonic()
        # Where others' clocks are ahead of ours it is not looked for each message.
        if at_ms > known_ms and not polled.why and looked_s - self._looked_s > _APART_S:
            self._looked_s = looked_s
            await polled.refresh()

    @property
    def now(self) -> S:
        """What was read last."""
        return self._polled.now

    def place(self, app_id: str, at_ms: int) -> int:
        """The index in `now.active[app_id]` of what counts at a moment; less than 0: nothing."""
        return self.now.place(app_id, at_ms)

    def _newest(self, last: S) -> S:
        repeatable = self._engine.execution_options(isolation_level="REPEATABLE READ")
        with transaction(repeatable) as connection:
            number = connection.execute(select(directory_version.c.version)).scalar_one()
            return last if number == last.number else self._read(connection, number, last)
