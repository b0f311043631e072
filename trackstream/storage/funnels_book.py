"""The funnels of all apps in memory, as they count live, kept up with PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import select

from trackstream.core.funnels_file import FunnelsError, funnels_of_text
from trackstream.core.live_funnels import MOST_FUNNELS, NO_FUNNELS, LiveFunnel, LiveFunnels
from trackstream.storage.database import transaction
from trackstream.storage.errors import StorageUnavailableError
from trackstream.storage.polling import REFRESH_S, Polled
from trackstream.storage.registered_rows import milliseconds
from trackstream.storage.schema import directory_version, funnels

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from trackstream.core.funnels import Funnel

__all__ = ["CachedFunnels", "NoFunnels"]

_log = logging.getLogger(__name__)

_START_S = 30.0
_RETRY_S = 0.5


class NoFunnels:
    """`ports.FunnelsBook` where no database is configured: no app has any."""

    def current(self, app_id: str, *, at_ms: int) -> LiveFunnels:  # noqa: ARG002 - the port's
        """None."""
        return NO_FUNNELS

    def apps(self) -> list[str]:
        """None."""
        return []


@dataclass(frozen=True, kw_only=True, slots=True)
class _Snapshot:
    version: int = -1
    parsed: dict[tuple[str, str], dict[str, Funnel]] = field(default_factory=dict)
    """By app and version."""
    moments: dict[str, list[int]] = field(default_factory=dict)
    """By app: from when on each version counts, in order, …"""
    active: dict[str, list[LiveFunnels]] = field(default_factory=dict)
    """… and the funnels that then do."""


class CachedFunnels:
    """`ports.FunnelsBook`: answers from memory; a change is known before it counts.

    Args:
        engine: The database, migrated.
        refresh_s: How often it is looked whether something has changed.
    """

    def __init__(self, engine: Engine, *, refresh_s: float = REFRESH_S) -> None:
        self._engine = engine
        self._polled = Polled(
            partial(_read, engine),
            _Snapshot(),
            what="the funnels of apps",
            log=_log,
            refresh_s=refresh_s,
        )

    async def start(self, *, timeout_s: float = _START_S) -> None:
        """Read everything and keep up with it.

        Raises:
            StorageUnavailableError: It could not be read in this time. To go on without would
                leave out what is never counted again.
        """
        await self._polled.start()
        try:
            async with asyncio.timeout(timeout_s):
                while self._polled.now.version < 0:
                    await asyncio.sleep(_RETRY_S)
                    await self._polled.refresh()
        except TimeoutError as error:
            await self.stop()
            raise StorageUnavailableError(
                "the funnels of apps cannot be read (is PostgreSQL there, and has `trackstream "
                f"migrate` made its tables?): {self._polled.why}"
            ) from error

    async def stop(self) -> None:
        """Stop keeping up, and disconnect."""
        await self._polled.stop()
        await asyncio.to_thread(self._engine.dispose)

    def current(self, app_id: str, *, at_ms: int) -> LiveFunnels:
        """The funnels for what arrived then; see `ports.FunnelsBook`."""
        now = self._polled.now
        moments = now.moments.get(app_id)
        place = bisect_right(moments, at_ms) if moments else 0
        return now.active[app_id][place - 1] if place else NO_FUNNELS

    def apps(self) -> list[str]:
        """Apps that have or had any, in order."""
        return list(self._polled.now.moments)


def _read(engine: Engine, last: _Snapshot) -> _Snapshot:
    repeatable = engine.execution_options(isolation_level="REPEATABLE READ")
    parsed: dict[tuple[str, str], dict[str, Funnel]] = {}
    moments: dict[str, list[int]] = {}
    active: dict[str, list[LiveFunnels]] = {}
    with transaction(repeatable) as connection:
        version = connection.execute(select(directory_version.c.version)).scalar_one()
        if version == last.version:
            return last
        for row in connection.execute(select(funnels).order_by(funnels.c.app_id, funnels.c.seq)):
            key = (row.app_id, row.version)
            if key not in parsed:
                known = last.parsed.get(key)
                parsed[key] = _parsed(row.app_id, row.toml) if known is None else known
            times = moments.setdefault(row.app_id, [])
            versions = active.setdefault(row.app_id, [])
            # Each has a moment of its own, even if the clock was set back: it is its name.
            times.append(max([milliseconds(row.effective_at), *(one + 1 for one in times[-1:])]))
            before = versions[-1] if versions else NO_FUNNELS
            versions.append(_live(parsed[key], before, times[-1]))
    return _Snapshot(version=version, parsed=parsed, moments=moments, active=active)


def _parsed(app_id: str, toml: str) -> dict[str, Funnel]:
    try:
        return funnels_of_text(toml)
    except FunnelsError as error:
        _log.error("the funnels of %s cannot be read: %s", app_id, error)
        return {}


def _live(given: dict[str, Funnel], before: LiveFunnels, at_ms: int) -> LiveFunnels:
    """Funnels that stay as they are go on counting."""
    return LiveFunnels.of(
        before.by_name[name]
        if name in before.by_name and before.by_name[name].funnel == funnel
        else LiveFunnel(funnel, at_ms)
        for name, funnel in list(given.items())[:MOST_FUNNELS]
    )
