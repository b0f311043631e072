"""The outbox: one row for each (destination, conversion, revision), through its states.

    due ──take──► sending ──► sent | due, later | dead | unknown

`sending` is committed before the request leaves. A row that stays so beyond its lease belongs to a
sender that has died: it is `unknown`, or due again where the destination says so. All calls block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from trackstream.core.postbacks.destinations import (
    postback_id,
    request_of,
    touch_of,
    triggered,
)
from trackstream.core.postbacks.macros import event_of
from trackstream.core.postbacks.outcomes import Outcome, RetryPolicy, Settled, settled
from trackstream.postbacks.destinations import active_destinations
from trackstream.storage.database import transaction
from trackstream.storage.registered_rows import milliseconds, moment
from trackstream.storage.schema import links, postback_destinations, postbacks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from trackstream.core.postbacks.destinations import Destination
    from trackstream.core.records import Attribution, Touch

__all__ = ["Taken", "queue", "resolve_orphans", "settle", "take"]

_Key = tuple[str, str, int]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A postback that is ours to send, until its lease ends."""

    postback_id: str
    destination_id: str
    attempt: int
    """The number of this try, for ever; it names the try when it is settled."""
    tries: int
    """Tries since it was queued, this one included."""
    queued_at_ms: int
    method: str
    url: str
    body: str | None


def queue(connection: Connection, attributions: Sequence[Attribution], *, now_ms: int) -> int:
    """Queue what the attributions trigger, in their order; return how many are new.

    Attributions of one conversion must not be queued by two transactions at once.
    """
    destinations = active_destinations(connection, {one.app_id for one in attributions})
    wanted = [(d, a) for a in attributions for d in destinations if triggered(d, a)]
    if not wanted:
        return 0
    told = _told(connection, {(d.destination_id, a.conversion_id) for d, a in wanted})
    names = _campaign_names(connection, (touch_of(d, a) for d, a in wanted))
    rows: dict[_Key, dict[str, Any]] = {}
    for destination, attribution in wanted:
        pair = (destination.destination_id, attribution.conversion_id)
        if destination.revisions == "first" and pair in told:
            continue
        told.add(pair)
        row = _row(destination, attribution, names=names, now_ms=now_ms)
        rows.setdefault((*pair, attribution.revision), row)
    if not rows:
        return 0
    new = connection.execute(
        insert(postbacks).on_conflict_do_nothing().returning(postbacks.c.postback_id),
        list(rows.values()),
    )
    return len(new.all())


def take(engine: Engine, room: Mapping[str, int], *, now_ms: int, lease_ms: int) -> list[Taken]:
    """Take what is due, and mark it as being sent, before any of it leaves.

    Args:
        engine: The database.
        room: How many at most, by destination.
        now_ms: Epoch milliseconds.
        lease_ms: Longer than a request may take.
    """
    if not room:
        return []
    with transaction(engine) as connection:
        rows = connection.execute(
            _TAKE,
            {
                "ids": list(room),
                "room": list(room.values()),
                "now": moment(now_ms),
                "lease": moment(now_ms + lease_ms),
            },
        ).all()
    return [
        Taken(
            postback_id=row.postback_id,
            destination_id=row.destination_id,
            attempt=row.attempt,
            tries=row.tries,
            queued_at_ms=milliseconds(row.queued_at),
            method=row.method,
            url=row.url,
            body=row.body,
        )
        for row in rows
    ]


def settle(engine: Engine, taken: Taken, result: Settled, *, now_ms: int) -> bool:
    """Note what became of a try; False if the postback was given to somebody else meanwhile."""
    with transaction(engine) as connection:
        return _settle(connection, taken.postback_id, taken.attempt, result, now_ms=now_ms)


def resolve_orphans(
    engine: Engine, *, now_ms: int, policy: RetryPolicy, unit: Callable[[], float]
) -> int:
    """Settle what senders have left behind that died in the middle; return how many there were."""
    outcome = Outcome(kind="uncertain", reason="the sender died while it was sending")
    table = postbacks
    query = (
        select(
            table.c.postback_id,
            table.c.attempt,
            table.c.tries,
            table.c.queued_at,
            postback_destinations.c.on_uncertain,
        )
        .join(postback_destinations)
        .where(table.c.state == "sending", table.c.lease_until < moment(now_ms))
        .limit(1000)
        .with_for_update(of=table, skip_locked=True)
    )
    with transaction(engine) as connection:
        rows = connection.execute(query).all()
        for row in rows:
            result = settled(
                outcome,
                tries=row.tries,
                queued_at_ms=milliseconds(row.queued_at),
                now_ms=now_ms,
                unit=unit(),
                on_uncertain=row.on_uncertain,
                policy=policy,
            )
            _settle(connection, row.postback_id, row.attempt, result, now_ms=now_ms)
    return len(rows)


def _settle(
    connection: Connection, its_id: str, attempt: int, result: Settled, *, now_ms: int
) -> bool:
    values: dict[str, Any] = {
        "state": result.state,
        "reason": result.reason,
        "lease_until": None,
        "updated_at": moment(now_ms),
    }
    if result.due_at_ms is not None:
        values["due_at"] = moment(result.due_at_ms)
    if result.state == "sent":
        # Whose data it was, the receiver has now; here the key alone is needed.
        values |= {"url": None, "body": None}
    changed = connection.execute(
        update(postbacks)
        .where(
            postbacks.c.postback_id == its_id,
            postbacks.c.attempt == attempt,
            # A sender that was too slow knows better than whoever took it for dead.
            postbacks.c.state.in_(["sending", "unknown"]),
        )
        .values(values)
    )
    return changed.rowcount == 1


def _told(connection: Connection, pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those (destination, conversion) of which a decision was queued before."""
    columns = (postbacks.c.destination_id, postbacks.c.conversion_id)
    found = connection.execute(
        select(*columns).distinct().where(tuple_(*columns).in_(sorted(pairs)))
    )
    return {(row.destination_id, row.conversion_id) for row in found}


def _campaign_names(
    connection: Connection, touches: Iterable[Touch | None]
) -> dict[str, str | None]:
    ids = {one.link_id for one in touches if one and one.link_id}
    if not ids:
        return {}
    found = connection.execute(
        select(links.c.link_id, links.c.campaign).where(links.c.link_id.in_(ids))
    )
    return {row.link_id: row.campaign for row in found}


def _row(
    destination: Destination,
    attribution: Attribution,
    *,
    names: Mapping[str, str | None],
    now_ms: int,
) -> dict[str, Any]:
    touch = touch_of(destination, attribution)
    name = names.get(touch.link_id) if touch and touch.link_id else None
    request = request_of(destination, attribution, campaign_name=name)
    now = moment(now_ms)
    return {
        "destination_id": destination.destination_id,
        "conversion_id": attribution.conversion_id,
        "revision": attribution.revision,
        "postback_id": postback_id(
            destination.destination_id, attribution.conversion_id, attribution.revision
        ),
        "app_id": attribution.app_id,
        "person": attribution.person,
        "event": event_of(attribution),
        "method": request.method,
        "url": request.url,
        "body": request.body,
        "state": "due",
        "attempt": 0,
        "tries": 0,
        "queued_at": now,
        "due_at": now,
        "updated_at": now,
    }


_TAKE = text(
    """
UPDATE postbacks AS mine
SET state = 'sending', attempt = mine.attempt + 1, tries = mine.tries + 1,
    lease_until = :lease, updated_at = :now
FROM unnest(CAST(:ids AS text[]), CAST(:room AS integer[])) AS wanted (destination_id, room)
CROSS JOIN LATERAL (
    SELECT postback_id FROM postbacks
    WHERE postbacks.destination_id = wanted.destination_id AND state = 'due' AND due_at <= :now
    ORDER BY due_at LIMIT wanted.room
    FOR UPDATE SKIP LOCKED
) AS due
WHERE mine.postback_id = due.postback_id
RETURNING mine.*
"""
)
