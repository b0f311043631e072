"""Keys of apps: making, listing, rotating and revoking them in PostgreSQL.

Calls block; in asyncio use `asyncio.to_thread`.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import insert, select, update

from trackstream.ports import SCOPES, Key
from trackstream.storage.database import transaction
from trackstream.storage.destinations import check_origin
from trackstream.storage.errors import InvalidValueError, NotFoundError
from trackstream.storage.registered_rows import key_of, milliseconds, now, require_app
from trackstream.storage.schema import api_keys

if TYPE_CHECKING:
    from sqlalchemy import Engine, Row

    from trackstream.storage.sealing import MasterKey

__all__ = ["KeyInfo", "Keys"]

_PREFIX = {"server": "srv_", "write": "wk_"}


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a key after it was made."""

    key_id: str
    app_id: str
    kind: str
    origins: tuple[str, ...]
    created_at_ms: int
    revoked_at_ms: int | None
    scopes: tuple[str, ...]
    rotated_at_ms: int | None
    """When it got its last secret, if not when it was made."""
    previous: bool
    """Whether the secret before that signs, too."""
    previous_until_ms: int | None


class Keys:
    """The keys of all apps. Every call may raise `StorageUnavailableError`."""

    def __init__(self, engine: Engine, master_key: MasterKey) -> None:
        self._engine = engine
        self._master_key = master_key

    def create_key(
        self,
        app_id: str,
        kind: str,
        *,
        origins: tuple[str, ...] = (),
        scopes: tuple[str, ...] = (),
    ) -> Key:
        """Create a key: `server` with a secret, `write` (browsers) without one.

        The secret is in the answer; later it can only be had with the master key. Without scopes
        a server key is for `ingest` and `read`; a write key is always for `ingest` alone.

        Raises:
            NotFoundError: There is no such app.
            InvalidValueError: Another kind, an origin that is none, origins for a server key, a
                scope that is none, or one for a write key that only a signature can have.
        """
        if kind not in _PREFIX:
            raise InvalidValueError(f"kind {kind!r}: takes server or write")
        if origins and kind != "write":
            raise InvalidValueError("origins belong to write keys: servers send none")
        key = Key(
            key_id=_PREFIX[kind] + secrets.token_urlsafe(15),
            app_id=app_id,
            kind=kind,
            secret=secrets.token_urlsafe(32) if kind == "server" else None,
            origins=tuple(check_origin(origin) for origin in origins),
            scopes=_scopes(kind, scopes),
        )
        sealed = None
        if key.secret is not None:
            sealed = self._master_key.seal(key.secret, app_id=app_id, key_id=key.key_id)
        with transaction(self._engine) as connection:
            require_app(connection, app_id)
            connection.execute(
                insert(api_keys).values(
                    key_id=key.key_id,
                    app_id=app_id,
                    kind=kind,
                    sealed_secret=sealed,
                    origins=list(key.origins),
                    scopes=list(key.scopes),
                    created_at=now(),
                )
            )
        return key

    def get_key(self, key_id: str) -> Key:
        """A key that is not revoked, with its secret.

        Raises:
            NotFoundError: There is none.
            MasterKeyError: Its secret was sealed with another master key.
        """
        with transaction(self._engine) as connection:
            row = connection.execute(
                select(api_keys).where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
            ).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no key {key_id} in use")
        return key_of(row, self._master_key)

    def list_keys(self, app_id: str | None = None) -> list[KeyInfo]:
        """All keys, or those of an app, oldest first; revoked ones, too."""
        query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)
        if app_id is not None:
            query = query.where(api_keys.c.app_id == app_id)
        with transaction(self._engine) as connection:
            rows = connection.execute(query).all()
        return [_info(row) for row in rows]

    def rotate_key(self, key_id: str, *, grace_s: int | None = None) -> Key:
        """Give a server key a new secret; the one before signs, too, for a while.

        Args:
            key_id: the key.
            grace_s: for how long; None: until `retire_key`.

        Raises:
            NotFoundError: There is none in use with this id.
            InvalidValueError: It has no secret, or has two that are valid.
        """
        at = now()
        with transaction(self._engine) as connection:
            row = connection.execute(
                select(api_keys)
                .where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
                .with_for_update()
            ).one_or_none()
            if row is None:
                raise NotFoundError(f"there is no key {key_id} in use")
            if row.sealed_secret is None:
                raise InvalidValueError(f"{key_id} is a write key: it has no secret")
            if _has_previous(row, at):
                raise InvalidValueError(f"{key_id} has two secrets already: retire the older one")
            secret = secrets.token_urlsafe(32)
            connection.execute(
                update(api_keys)
                .where(api_keys.c.key_id == key_id)
                .values(
                    sealed_secret=self._master_key.seal(secret, app_id=row.app_id, key_id=key_id),
                    previous_sealed_secret=row.sealed_secret,
                    previous_until=None if grace_s is None else at + timedelta(seconds=grace_s),
                    rotated_at=at,
                )
            )
        return self.get_key(key_id)

    def retire_key(self, key_id: str) -> None:
        """Let the secret before the last rotation be of no use from now on; again is no error.

        Raises:
            NotFoundError: There is no key with this id.
        """
        with transaction(self._engine) as connection:
            done = connection.execute(
                update(api_keys)
                .where(api_keys.c.key_id == key_id)
                .values(previous_sealed_secret=None, previous_until=None)
            )
        if not done.rowcount:
            raise NotFoundError(f"there is no key {key_id}")

    def revoke_key(self, key_id: str) -> None:
        """Let a key be of no use from now on; again is no error.

        Raises:
            NotFoundError: There is none with this id.
        """
        with transaction(self._engine) as connection:
            known = connection.execute(
                select(api_keys.c.key_id).where(api_keys.c.key_id == key_id)
            ).one_or_none()
            if known is None:
                raise NotFoundError(f"there is no key {key_id}")
            connection.execute(
                update(api_keys)
                .where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
                .values(revoked_at=now())
            )


def _scopes(kind: str, scopes: tuple[str, ...]) -> tuple[str, ...]:
    allowed = SCOPES if kind == "server" else ("ingest",)
    wrong = [one for one in scopes if one not in allowed]
    if wrong:
        raise InvalidValueError(f"scope {wrong[0]!r}: a {kind} key takes {', '.join(allowed)}")
    asked = scopes or (("ingest", "read") if kind == "server" else allowed)
    return tuple(one for one in SCOPES if one in asked)


def _has_previous(row: Row[Any], at: datetime) -> bool:
    until = row.previous_until
    return row.previous_sealed_secret is not None and (until is None or until > at)


def _info(row: Row[Any]) -> KeyInfo:
    def at(moment: datetime | None) -> int | None:
        return None if moment is None else milliseconds(moment)

    return KeyInfo(
        key_id=row.key_id,
        app_id=row.app_id,
        kind=row.kind,
        origins=tuple(row.origins),
        created_at_ms=milliseconds(row.created_at),
        revoked_at_ms=at(row.revoked_at),
        scopes=tuple(row.scopes),
        rotated_at_ms=at(row.rotated_at),
        previous=_has_previous(row, now()),
        previous_until_ms=at(row.previous_until),
    )
