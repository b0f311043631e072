"""Registering destinations: creating, listing and disabling them in PostgreSQL. Calls block."""

from __future__ import annotations

import logging
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import func, insert, select, update

from trackstream.core.postbacks.destinations import Destination, problems
from trackstream.core.postbacks.webhooks import secret_text
from trackstream.storage.database import transaction
from trackstream.storage.errors import InvalidValueError, MasterKeyError, NotFoundError
from trackstream.storage.registered_rows import milliseconds, require_app
from trackstream.storage.schema import postback_destinations

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection, Engine, Row

    from trackstream.storage.sealing import MasterKey

__all__ = ["Destinations", "Listed", "active_destinations"]

_log = logging.getLogger(__name__)

_SECRET_BYTES = 32
_FIELDS = [
    field.name
    for field in msgspec.structs.fields(Destination)
    if field.name not in {"events", "created_at_ms"}
]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A destination as it is registered."""

    destination: Destination
    secret: str | None
    """With which its postbacks are signed; None: they are not."""
    disabled_at_ms: int | None


class Destinations:
    """Whom to tell. Every call may raise `StorageUnavailableError`."""

    def __init__(self, engine: Engine, master_key: MasterKey) -> None:
        self._engine = engine
        self._master_key = master_key
        self._unopened: set[str] = set()

    def create(self, destination: Destination, *, signed: bool = False) -> Listed:
        """Register a destination; its id and its time of creation are given here.

        Args:
            destination: What is wanted.
            signed: Make a secret, under which its postbacks are signed.

        Raises:
            InvalidValueError: With every problem, one a line.
            NotFoundError: There is no such app.
        """
        secret = secret_text(secrets.token_bytes(_SECRET_BYTES)) if signed else None
        found = problems(destination, secret=secret)
        if found:
            raise InvalidValueError("\n".join(found))
        now = datetime.now(UTC)
        created = msgspec.structs.replace(
            destination,
            destination_id="dst_" + secrets.token_hex(8),
            created_at_ms=milliseconds(now),
        )
        sealed = None
        if secret is not None:
            sealed = self._master_key.seal(
                secret, app_id=created.app_id, key_id=created.destination_id
            )
        values = {name: getattr(created, name) for name in _FIELDS}
        with transaction(self._engine) as connection:
            require_app(connection, created.app_id)
            connection.execute(
                insert(postback_destinations).values(
                    **values, events=list(created.events), sealed_secret=sealed, created_at=now
                )
            )
        return Listed(destination=created, secret=secret, disabled_at_ms=None)

    def list_all(self, app_id: str | None = None) -> list[Listed]:
        """All destinations, or an app's, oldest first; disabled ones, too.

        Raises:
            MasterKeyError: A secret was sealed with another master key.
        """
        query = select(postback_destinations).order_by(
            postback_destinations.c.created_at, postback_destinations.c.destination_id
        )
        if app_id is not None:
            query = query.where(postback_destinations.c.app_id == app_id)
        with transaction(self._engine) as connection:
            rows = connection.execute(query).all()
        return [self._listed(row) for row in rows]

    def active(self) -> list[Listed]:
        """Those that are not disabled; one whose secret does not open is left out, and logged."""
        query = select(postback_destinations).where(postback_destinations.c.disabled_at.is_(None))
        with transaction(self._engine) as connection:
            rows = connection.execute(query).all()
        found = []
        for row in rows:
            try:
                found.append(self._listed(row))
            except MasterKeyError as error:
                if row.destination_id not in self._unopened:
                    self._unopened.add(row.destination_id)
                    _log.error("nothing is sent to %s: %s", row.name, error)  # the reason is enough
        return found

    def get(self, destination_id: str) -> Listed:
        """One destination.

        Raises:
            NotFoundError: There is none with this id.
            MasterKeyError: Its secret was sealed with another master key.
        """
        with transaction(self._engine) as connection:
            row = connection.execute(
                select(postback_destinations).where(
                    postback_destinations.c.destination_id == destination_id
                )
            ).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no destination {destination_id}")
        return self._listed(row)

    def disable(self, destination_id: str) -> None:
        """Queue and send nothing more for a destination; again is no error.

        Raises:
            NotFoundError: There is none with this id.
        """
        table = postback_destinations
        with transaction(self._engine) as connection:
            changed = connection.execute(
                update(table)
                .where(table.c.destination_id == destination_id)
                .values(disabled_at=func.coalesce(table.c.disabled_at, func.now()))
            )
            if changed.rowcount == 0:
                raise NotFoundError(f"there is no destination {destination_id}")

    def _listed(self, row: Row[Any]) -> Listed:
        secret = None
        if row.sealed_secret is not None:
            secret = self._master_key.open(
                bytes(row.sealed_secret), app_id=row.app_id, key_id=row.destination_id
            )
        return Listed(
            destination=_destination(row),
            secret=secret,
            disabled_at_ms=None if row.disabled_at is None else milliseconds(row.disabled_at),
        )


def active_destinations(connection: Connection, app_ids: Collection[str]) -> list[Destination]:
    """These apps' destinations that are not disabled."""
    table = postback_destinations
    rows = connection.execute(
        select(table).where(table.c.app_id.in_(app_ids), table.c.disabled_at.is_(None))
    )
    return [_destination(row) for row in rows]


def _destination(row: Row[Any]) -> Destination:
    return Destination(
        **{name: getattr(row, name) for name in _FIELDS},
        events=tuple(row.events),
        created_at_ms=milliseconds(row.created_at),
    )
