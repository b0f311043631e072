"""The rules of all apps in memory, kept up with PostgreSQL in the background."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import select

from trackstream.core.rules import OF_THE_SERVICE, Rules
from trackstream.storage.effective import Book, Versions
from trackstream.storage.polling import REFRESH_S
from trackstream.storage.registered_rows import milliseconds
from trackstream.storage.schema import rules, rules_activations

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["CachedRules", "DefaultRules", "KnownRules", "read_rules"]

_log = logging.getLogger(__name__)


class DefaultRules:
    """`ports.RulesBook` without a database, to measure and test: the same rules for all."""

    def __init__(self, base: Rules) -> None:
        self._base = base

    def current(self, app_id: str, *, at_ms: int) -> Rules:  # noqa: ARG002 - the port's
        """The same for all."""
        return self._base

    async def up_to(self, at_ms: int) -> None:
        """They never change."""

    def version(self, app_id: str, version: str) -> Rules | None:  # noqa: ARG002 - the port's
        """The same, if it has this name, whatever of the service was set otherwise then."""
        return self._base if _family(version) == _family(self._base.version) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownRules(Versions[Rules]):
    """Every version of every app's rules, and when each counted."""

    rules: dict[tuple[str, str], Rules] = field(default_factory=dict)
    """By app and version."""

    def current(self, app_id: str, *, at_ms: int) -> Rules | None:
        """The app's for what arrived then; None: it has none of its own."""
        place = self.place(app_id, at_ms)
        return None if place < 0 else self.active[app_id][place]


class CachedRules(Book[KnownRules]):
    """`ports.RulesBook`: answers from memory; a change is known before it counts.

    Args:
        engine: The database, migrated.
        base: What counts for apps without rules of their own. What of it are settings of the whole
            service counts for all.
        refresh_s: How often it is looked whether something has changed.
    """

    def __init__(self, engine: Engine, *, base: Rules, refresh_s: float = REFRESH_S) -> None:
        self._default = DefaultRules(base)
        self._base = base
        super().__init__(
            engine,
            partial(_newer, base),
            KnownRules(),
            what="the rules of apps",
            log=_log,
            refresh_s=refresh_s,
        )

    def current(self, app_id: str, *, at_ms: int) -> Rules:
        """The rules for what arrived then; see `ports.RulesBook`."""
        return self.now.current(app_id, at_ms=at_ms) or self._base

    def version(self, app_id: str, version: str) -> Rules | None:
        """The rules of this name; see `ports.RulesBook`."""
        found = self.now.rules.get((app_id, version))
        return found or self._default.version(app_id, version)


def _family(version: str) -> str:
    """A version without what settings of the service add to it: `default-1+gap60+wait30`."""
    return version.partition("+")[0]


def _newer(base: Rules, connection: Connection, number: int, _: KnownRules) -> KnownRules:
    return read_rules(connection, number, base=base)


def read_rules(connection: Connection, number: int, *, base: Rules) -> KnownRules:
    """The rules of all apps, where the directory has this number.

    What of `base` are settings of the whole service counts for all. What cannot be read is told,
    and left out.
    """
    known = _known(connection, base)
    moments: dict[str, list[int]] = {}
    active: dict[str, list[Rules]] = {}
    table = rules_activations
    for row in connection.execute(select(table).order_by(table.c.app_id, table.c.seq)):
        its = known.get((row.app_id, row.version))
        if its is None:
            continue
        times = moments.setdefault(row.app_id, [])
        # A clock that was set back does not bring an older version back.
        times.append(max([milliseconds(row.effective_at), *times[-1:]]))
        active.setdefault(row.app_id, []).append(its)
    return KnownRules(number=number, rules=known, moments=moments, active=active)


def _known(connection: Connection, base: Rules) -> dict[tuple[str, str], Rules]:
    of_the_service = {name: getattr(base, name) for name in OF_THE_SERVICE}
    known: dict[tuple[str, str], Rules] = {}
    for row in connection.execute(select(rules.c.app_id, rules.c.version, rules.c.content)):
        try:
            its = msgspec.convert(row.content, Rules)
        except msgspec.ValidationError as error:
            _log.error("the rules %s of %s cannot be read: %s", row.version, row.app_id, error)
            continue
        known[row.app_id, row.version] = msgspec.structs.replace(
            its, version=row.version, **of_the_service
        )
    return known
