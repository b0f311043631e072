"""Apps, their rules, keys and links in memory, kept up with PostgreSQL in the background."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from trackstream.core.definitions_file import DefinitionsError, definitions_of_text
from trackstream.core.rules import DEFAULT
from trackstream.ports import App, Key, TrackingLink
from trackstream.storage.database import transaction
from trackstream.storage.errors import MasterKeyError
from trackstream.storage.polling import REFRESH_S, Polled
from trackstream.storage.registered_rows import key_of, link_of
from trackstream.storage.rules_book import KnownRules, read_rules
from trackstream.storage.schema import api_keys, apps, directory_version, links

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Row

    from trackstream.core.definitions import Definitions
    from trackstream.core.rules import Rules
    from trackstream.storage.sealing import MasterKey

__all__ = ["CachedDirectory"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Snapshot:
    version: int = -1
    apps: dict[str, App] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    by_slug: dict[str, TrackingLink] = field(default_factory=dict)
    by_campaign: dict[str, tuple[TrackingLink, ...]] = field(default_factory=dict)
    rules: KnownRules = field(default_factory=KnownRules)


class CachedDirectory:
    """`ports.Directory`: answers from memory, at most some seconds behind PostgreSQL.

    While PostgreSQL is away the last known state goes on being used; that is logged once.

    Args:
        engine: The database, migrated.
        master_key: Opens the secrets of keys; a key whose secret does not open is left out.
        refresh_s: How often the version is looked at.
    """

    def __init__(
        self, engine: Engine, master_key: MasterKey, *, refresh_s: float = REFRESH_S
    ) -> None:
        self._polled = Polled(
            partial(_read, engine, master_key),
            _Snapshot(),
            what="apps, keys and links",
            log=_log,
            refresh_s=refresh_s,
        )

    @property
    def ready(self) -> bool:
        """Whether it was read once."""
        return self._polled.now.version >= 0

    async def start(self) -> None:
        """Read everything and keep up with it. When PostgreSQL is away: not ready yet, later is."""
        await self._polled.start()

    async def stop(self) -> None:
        """Stop keeping up."""
        await self._polled.stop()

    async def refresh(self) -> None:
        """Look at the version now, and read everything if it is another. Raises nothing."""
        await self._polled.refresh()

    def key(self, key_id: str) -> Key | None:
        """The key with this id, unless it is revoked."""
        return self._polled.now.keys.get(key_id)

    def app(self, app_id: str) -> App | None:
        """The app with this id."""
        return self._polled.now.apps.get(app_id)

    def link_by_slug(self, slug: str) -> TrackingLink | None:
        """The link of `/c/{slug}`."""
        return self._polled.now.by_slug.get(slug)

    def links_by_campaign(self, campaign_id: str) -> tuple[TrackingLink, ...]:
        """The links of `/v1/click?cid=`, of whichever apps, the newest first."""
        return self._polled.now.by_campaign.get(campaign_id, ())

    def rules(self, app_id: str, *, at_ms: int) -> Rules:
        """The app's rules for what arrives then, but for settings of the whole service."""
        return self._polled.now.rules.current(app_id, at_ms=at_ms) or DEFAULT


def _read(engine: Engine, master_key: MasterKey, last: _Snapshot) -> _Snapshot:
    repeatable = engine.execution_options(isolation_level="REPEATABLE READ")
    with transaction(repeatable) as connection:
        version = connection.execute(select(directory_version.c.version)).scalar_one()
        if version == last.version:
            return last
        ordered = connection.execute(select(links).order_by(links.c.created_at, links.c.link_id))
        all_links = [link_of(row) for row in ordered]
        return _Snapshot(
            version=version,
            apps={
                row.app_id: App(
                    app_id=row.app_id, name=row.name, definitions=_definitions(row, last)
                )
                for row in connection.execute(select(apps))
            },
            keys=_keys(connection, master_key),
            by_slug={link.slug: link for link in all_links},
            by_campaign=_by_campaign(all_links),
            rules=read_rules(connection, version, base=DEFAULT),
        )


def _by_campaign(oldest_first: list[TrackingLink]) -> dict[str, tuple[TrackingLink, ...]]:
    found: dict[str, list[TrackingLink]] = {}
    for link in reversed(oldest_first):
        found.setdefault(link.campaign_id, []).append(link)
    return {campaign_id: tuple(links) for campaign_id, links in found.items()}


def _definitions(row: Row[Any], last: _Snapshot) -> Definitions | None:
    """The events of an app of this row. What cannot be read leaves those that were there."""
    if row.events_toml is None:
        return None
    try:
        return definitions_of_text(row.events_toml)
    except DefinitionsError as error:
        _log.error("the events of %s cannot be read: %s", row.app_id, error)
        known = last.apps.get(row.app_id)
        return known.definitions if known else None


def _keys(connection: Connection, master_key: MasterKey) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for row in connection.execute(select(api_keys).where(api_keys.c.revoked_at.is_(None))):
        try:
            found[row.key_id] = key_of(row, master_key)
        except MasterKeyError as error:
            _log.error("%s", error)
    return found
