"""What was refused, as the warehouse keeps it: listed, read, and marked when sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import func, select, update

from trackstream.core.reasons import Reason
from trackstream.storage.database import transaction
from trackstream.storage.errors import NotFoundError
from trackstream.storage.registered_rows import milliseconds, moment
from trackstream.storage.schema import api_keys, rejected

if TYPE_CHECKING:
    from sqlalchemy import Engine, Row

__all__ = ["Kept", "Wanted", "app_of_key", "found", "listed", "mark_replayed"]

_PLAIN = (
    *("rejected_id", "app_id", "stage", "reasons", "detail", "content_type", "version"),
    *("origin", "key", "ip", "user_agent", "replay_result"),
)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which of what was refused: all that is given has to hold.

    Attributes:
        app_id: Whose.
        reason: One of its reasons.
        stage: Who refused it.
        since_ms: When at the earliest.
        waiting: Only what was not replayed yet.
        robots: Also clicks and impressions of robots, which are never replayed.
    """

    app_id: str | None = None
    reason: str | None = None
    stage: str | None = None
    since_ms: int | None = None
    waiting: bool = False
    robots: bool = True


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `rejected`; see `core.records.Rejected`."""

    rejected_id: str
    app_id: str | None
    stage: str
    reasons: list[str]
    detail: str
    content_type: str | None
    version: str
    origin: str | None
    key: str | None
    ip: str | None
    user_agent: str | None
    replay_result: str | None
    received_at_ms: int
    replayed_at_ms: int | None
    payload_bytes: int


def listed(engine: Engine, wanted: Wanted, *, limit: int, oldest_first: bool = False) -> list[Kept]:
    """What is wanted, newest first unless said otherwise. Blocks.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    its = rejected.c
    order = [its.received_at, its.rejected_id]
    query = _query().order_by(*(order if oldest_first else [one.desc() for one in order]))
    if wanted.app_id is not None:
        query = query.where(its.app_id == wanted.app_id)
    if wanted.reason is not None:
        query = query.where(its.reasons.contains([wanted.reason]))
    if wanted.stage is not None:
        query = query.where(its.stage == wanted.stage)
    if wanted.since_ms is not None:
        query = query.where(its.received_at >= moment(wanted.since_ms))
    if wanted.waiting:
        query = query.where(its.replayed_at.is_(None))
    if not wanted.robots:
        query = query.where(~its.reasons.contains([str(Reason.BOT)]))
    with transaction(engine) as connection:
        return [_kept(row) for row in connection.execute(query.limit(limit))]


def found(engine: Engine, rejected_id: str) -> tuple[Kept, bytes]:
    """The one of this id, and its payload. Blocks.

    Raises:
        NotFoundError: There is none.
        StorageUnavailableError: PostgreSQL does not answer.
    """
    query = _query().add_columns(rejected.c.payload).where(rejected.c.rejected_id == rejected_id)
    with transaction(engine) as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFoundError(f"nothing rejected has the id {rejected_id}")
    return _kept(row), bytes(row.payload)


def mark_replayed(engine: Engine, rejected_id: str, result: str) -> None:
    """Note that it was sent again just now, and what came of it. Blocks.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    with transaction(engine) as connection:
        connection.execute(
            update(rejected)
            .where(rejected.c.rejected_id == rejected_id)
            .values(replayed_at=func.clock_timestamp(), replay_result=result)
        )


def app_of_key(engine: Engine, key_id: str) -> str | None:
    """The app of a key; None if there is no such key, or it is revoked. Blocks.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    its = api_keys.c
    query = select(its.app_id).where(its.key_id == key_id, its.revoked_at.is_(None))
    with transaction(engine) as connection:
        return connection.scalar(query)


def _query() -> Any:
    its = rejected.c
    length = func.octet_length(its.payload).label("payload_bytes")
    return select(*(its[name] for name in _PLAIN), its.received_at, its.replayed_at, length)


def _kept(row: Row[Any]) -> Kept:
    return Kept(
        **{name: getattr(row, name) for name in _PLAIN},
        received_at_ms=milliseconds(row.received_at),
        replayed_at_ms=None if row.replayed_at is None else milliseconds(row.replayed_at),
        payload_bytes=row.payload_bytes,
    )
