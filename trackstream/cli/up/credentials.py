"""The app that `trackstream up` brings along: its keys, kept over restarts, and a link to click."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from trackstream.cli.running import private_file
from trackstream.storage.database import make_engine
from trackstream.storage.errors import AlreadyExistsError, MasterKeyError, NotFoundError
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from pathlib import Path

    from trackstream.settings import Settings

__all__ = ["Credentials", "ensure_credentials"]

_FILE = "credentials.json"
_SITE = "https://shop.example.com/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """An app and two keys of it."""

    app_id: str
    key_id: str
    secret: str
    write_key: str

    @property
    def slug(self) -> str:
        """Of the link that leads to the app's site."""
        return f"{self.app_id.replace('.', '-')}-hello"[:64]


def ensure_credentials(settings: Settings) -> Credentials:
    """Migrate the database, and find or make the app, a server key, a write key and a link.

    The keys are those of `credentials.json` in the data directory as long as they are in use;
    else new ones are made and written there.

    Raises:
        StorageError: PostgreSQL does not answer, or the app's id cannot be one.
    """
    migrate(settings.postgres_url)
    engine = make_engine(settings.postgres_url)
    try:
        registry = Registry(engine, MasterKey.load(settings))
        app_id = settings.app_id
        with contextlib.suppress(AlreadyExistsError):
            registry.create_app(app_id)
        path = settings.data_dir / _FILE
        found = _kept(path, registry, app_id)
        if found is None:
            found = _made(registry, app_id)
            private_file(path, asdict(found))
        with contextlib.suppress(AlreadyExistsError):
            registry.create_link(
                app_id=app_id,
                campaign_id=f"{app_id}-hello",
                campaign="Hello",
                channel="direct",
                web_url=_SITE,
                slug=found.slug,
            )
    finally:
        engine.dispose()
    return found


def _kept(path: Path, registry: Registry, app_id: str) -> Credentials | None:
    try:
        kept = Credentials(**json.loads(path.read_text("utf-8")))
        if kept.app_id != app_id:
            return None
        keys = [registry.get_key(one) for one in (kept.key_id, kept.write_key)]
    except (FileNotFoundError, ValueError, TypeError, NotFoundError, MasterKeyError):
        return None
    same = all(key.app_id == app_id for key in keys) and keys[0].secret == kept.secret
    return kept if same else None


def _made(registry: Registry, app_id: str) -> Credentials:
    server = registry.create_key(app_id, "server")
    write = registry.create_key(app_id, "write")
    return Credentials(
        app_id=app_id,
        key_id=server.key_id,
        secret=str(server.secret),
        write_key=write.key_id,
    )
