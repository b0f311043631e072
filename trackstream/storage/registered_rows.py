"""Rows of `links` and `api_keys` as the values of `ports`, and what writing them takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import select

from trackstream.ports import Key, TrackingLink
from trackstream.storage.errors import NotFoundError
from trackstream.storage.schema import apps

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from trackstream.storage.sealing import MasterKey

__all__ = ["key_of", "link_of", "milliseconds", "moment", "now", "require_app"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LINK_FIELDS = [
    field.name
    for field in msgspec.structs.fields(TrackingLink)
    if field.name not in {"expires_at_ms", "overridable"}
]


def milliseconds(at: datetime) -> int:
    """Epoch milliseconds, exactly."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def moment(at_ms: int) -> datetime:
    """The moment of epoch milliseconds."""
    return _EPOCH + timedelta(milliseconds=at_ms)


def now() -> datetime:
    """The moment that it is."""
    return datetime.now(UTC)


def require_app(connection: Connection, app_id: str, *, lock: bool = False) -> None:
    """Go on only for an app that there is.

    Args:
        connection: In whose transaction.
        app_id: The app.
        lock: Whether others who lock it wait until the transaction ends.

    Raises:
        NotFoundError: There is none with this id.
    """
    query = select(apps.c.app_id).where(apps.c.app_id == app_id)
    if connection.execute(query.with_for_update() if lock else query).one_or_none() is None:
        raise no_such_app(app_id)


def no_such_app(app_id: str) -> NotFoundError:
    """The error that says so, and what makes one."""
    return NotFoundError(f"there is no app {app_id}: `trackstream apps create {app_id}` makes one")


def link_of(row: Row[Any]) -> TrackingLink:
    """The link of a row of `links`."""
    return TrackingLink(
        **{name: getattr(row, name) for name in _LINK_FIELDS},
        expires_at_ms=None if row.expires_at is None else milliseconds(row.expires_at),
        overridable=tuple(row.overridable),
    )


def key_of(row: Row[Any], master_key: MasterKey) -> Key:
    """The key of a row of `api_keys`, its secret opened.

    Raises:
        MasterKeyError: The secret was sealed with another master key.
    """

    def opened(sealed: bytes | None) -> str | None:
        if sealed is None:
            return None
        return master_key.open(bytes(sealed), app_id=row.app_id, key_id=row.key_id)

    until = row.previous_until
    return Key(
        key_id=row.key_id,
        app_id=row.app_id,
        kind=row.kind,
        secret=opened(row.sealed_secret),
        origins=tuple(row.origins),
        scopes=tuple(row.scopes),
        previous_secret=opened(row.previous_sealed_secret),
        previous_until_ms=None if until is None else milliseconds(until),
    )
