"""Apps, keys and links in memory, kept up with PostgreSQL in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from trackstream.ports import App, Key, TrackingLink
from trackstream.storage.database import transaction
from trackstream.storage.errors import MasterKeyError, StorageUnavailableError
from trackstream.storage.registered_rows import key_of, link_of
from trackstream.storage.schema import api_keys, apps, directory_version, links

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from trackstream.storage.sealing import MasterKey

__all__ = ["CachedDirectory"]

_log = logging.getLogger(__name__)

_REFRESH_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Snapshot:
    version: int = -1
    apps: dict[str, App] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    by_slug: dict[str, TrackingLink] = field(default_factory=dict)
    by_campaign: dict[str, TrackingLink] = field(default_factory=dict)


class CachedDirectory:
    """`ports.Directory`: answers from memory, at most some seconds behind PostgreSQL.

    While PostgreSQL is away the last known state goes on being used; that is logged once.

    Args:
        engine: The database, migrated.
        master_key: Opens the secrets of keys; a key whose secret does not open is left out.
        refresh_s: How often the version is looked at.
    """

    def __init__(
        self, engine: Engine, master_key: MasterKey, *, refresh_s: float = _REFRESH_S
    ) -> None:
        self._engine = engine
        self._master_key = master_key
        self._refresh_s = refresh_s
        self._now = _Snapshot()
        self._away = False
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether it was read once."""
        return self._now.version >= 0

    async def start(self) -> None:
        """Read everything and keep up with it. When PostgreSQL is away: not ready yet, later is."""
        await self.refresh()
        self._refreshing = asyncio.create_task(self._keep_up(), name="directory")

    async def stop(self) -> None:
        """Stop keeping up."""
        task, self._refreshing = self._refreshing, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def refresh(self) -> None:
        """Look at the version now, and read everything if it is another. Raises nothing."""
        try:
            self._now = await asyncio.to_thread(_read, self._engine, self._master_key, self._now)
        except (StorageUnavailableError, SQLAlchemyError) as error:
            if not self._away:
                self._away = True
                _log.warning("apps, keys and links stay as they were read last: %s", error)
        else:
            if self._away:
                self._away = False
                _log.info("apps, keys and links are read from PostgreSQL again")

    def key(self, key_id: str) -> Key | None:
        """The key with this id, unless it is revoked."""
        return self._now.keys.get(key_id)

    def app(self, app_id: str) -> App | None:
        """The app with this id."""
        return self._now.apps.get(app_id)

    def link_by_slug(self, slug: str) -> TrackingLink | None:
        """The link of `/c/{slug}`."""
        return self._now.by_slug.get(slug)

    def link_by_campaign(self, campaign_id: str) -> TrackingLink | None:
        """The newest link of `/v1/click?cid=`."""
        return self._now.by_campaign.get(campaign_id)

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            await self.refresh()


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
                row.app_id: App(app_id=row.app_id, name=row.name)
                for row in connection.execute(select(apps))
            },
            keys=_keys(connection, master_key),
            by_slug={link.slug: link for link in all_links},
            by_campaign={link.campaign_id: link for link in all_links},
        )


def _keys(connection: Connection, master_key: MasterKey) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for row in connection.execute(select(api_keys).where(api_keys.c.revoked_at.is_(None))):
        try:
            found[row.key_id] = key_of(row, master_key)
        except MasterKeyError as error:
            _log.error("%s", error)
    return found
