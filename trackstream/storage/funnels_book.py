"""The funnels of all apps in memory, as they count live, kept up with PostgreSQL."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import select

from trackstream.core.funnels_file import FunnelsError, funnels_of_text
from trackstream.core.live_funnels import MOST_FUNNELS, NO_FUNNELS, LiveFunnel, LiveFunnels
from trackstream.storage.effective import Book, Versions
from trackstream.storage.polling import REFRESH_S
from trackstream.storage.registered_rows import milliseconds
from trackstream.storage.schema import funnels

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from trackstream.core.funnels import Funnel

__all__ = ["CachedFunnels", "NoFunnels"]

_log = logging.getLogger(__name__)


class NoFunnels:
    """`ports.FunnelsBook` without a database, to measure and test: no app has any."""

    def current(self, app_id: str, *, at_ms: int) -> LiveFunnels:  # noqa: ARG002 - the port's
        """None."""
        return NO_FUNNELS

    async def up_to(self, at_ms: int) -> None:
        """There never are."""

    def apps(self) -> list[str]:
        """None."""
        return []


@dataclass(frozen=True, kw_only=True, slots=True)
class _Snapshot(Versions[LiveFunnels]):
    parsed: dict[tuple[str, str], dict[str, Funnel]] = field(default_factory=dict)
    """By app and version."""


class CachedFunnels(Book[_Snapshot]):
    """`ports.FunnelsBook`: answers from memory; a change is known before it counts.

    Args:
        engine: The database, migrated.
        refresh_s: How often it is looked whether something has changed.
    """

    def __init__(self, engine: Engine, *, refresh_s: float = REFRESH_S) -> None:
        super().__init__(
            engine,
            _read,
            _Snapshot(),
            what="the funnels of apps",
            log=_log,
            refresh_s=refresh_s,
        )

    def current(self, app_id: str, *, at_ms: int) -> LiveFunnels:
        """The funnels for what arrived then; see `ports.FunnelsBook`."""
        place = self.place(app_id, at_ms)
        return NO_FUNNELS if place < 0 else self.now.active[app_id][place]

    def apps(self) -> list[str]:
        """Apps that have or had any, in order."""
        return list(self.now.moments)


def _read(connection: Connection, number: int, last: _Snapshot) -> _Snapshot:
    parsed: dict[tuple[str, str], dict[str, Funnel]] = {}
    moments: dict[str, list[int]] = {}
    active: dict[str, list[LiveFunnels]] = {}
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
    return _Snapshot(number=number, parsed=parsed, moments=moments, active=active)


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
