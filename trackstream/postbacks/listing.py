"""Postbacks that were given up: looking at them, and queueing them again by hand. Calls block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import select, update

from trackstream.storage.database import transaction
from trackstream.storage.registered_rows import milliseconds, moment
from trackstream.storage.schema import postbacks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Engine

__all__ = ["Dead", "list_dead", "resend"]

_GIVEN_UP = ("dead", "unknown")


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """A postback that is not sent any more by itself."""

    postback_id: str
    destination_id: str
    conversion_id: str
    revision: int
    event: str
    state: str
    """`dead`: it was not taken. `unknown`: perhaps it was."""
    reason: str | None
    tries: int
    given_up_at_ms: int
    method: str
    url: str


def list_dead(engine: Engine, *, destination_id: str | None = None, limit: int = 100) -> list[Dead]:
    """The newest that were given up, of one destination or of all."""
    query = (
        select(postbacks)
        .where(*_given_up(destination_id))
        .order_by(postbacks.c.updated_at.desc(), postbacks.c.postback_id)
        .limit(limit)
    )
    with transaction(engine) as connection:
        rows = connection.execute(query).all()
    return [
        Dead(
            postback_id=row.postback_id,
            destination_id=row.destination_id,
            conversion_id=row.conversion_id,
            revision=row.revision,
            event=row.event,
            state=row.state,
            reason=row.reason,
            tries=row.tries,
            given_up_at_ms=milliseconds(row.updated_at),
            method=row.method,
            url=row.url,
        )
        for row in rows
    ]


def resend(
    engine: Engine,
    *,
    now_ms: int,
    postback_ids: Sequence[str] = (),
    destination_id: str | None = None,
) -> list[str]:
    """Queue postbacks again that were given up; return the ids of those that were.

    Args:
        engine: The database.
        now_ms: Epoch milliseconds; age and tries are counted anew.
        postback_ids: These, in whichever of the two states; what is not given up stays as it is.
        destination_id: Or all of this destination's that are `dead`; those that perhaps were
            taken have to be named.
    """
    conditions = _given_up(destination_id)
    if postback_ids:
        conditions.append(postbacks.c.postback_id.in_(postback_ids))
    elif destination_id is not None:
        conditions.append(postbacks.c.state == "dead")
    else:
        return []
    now = moment(now_ms)
    with transaction(engine) as connection:
        changed = connection.execute(
            update(postbacks)
            .where(*conditions)
            .values(state="due", due_at=now, queued_at=now, updated_at=now, tries=0, reason=None)
            .returning(postbacks.c.postback_id)
        )
        return sorted(changed.scalars())


def _given_up(destination_id: str | None) -> list[ColumnElement[Any]]:
    conditions: list[ColumnElement[Any]] = [postbacks.c.state.in_(_GIVEN_UP)]
    if destination_id is not None:
        conditions.append(postbacks.c.destination_id == destination_id)
    return conditions
