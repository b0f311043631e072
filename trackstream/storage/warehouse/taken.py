"""Events whose id is another subject's: an id names one event of its app, so these are refused.

Two clients that number their events 1, 2, 3 would otherwise lose each other's without a word. The
id there for the same subject is a duplicate, and nothing else.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from trackstream.codec import UndecodableError, decode
from trackstream.core.reasons import Reason
from trackstream.core.records import Event, Rejected
from trackstream.storage.consumer import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.storage.warehouse.batch import Batch

__all__ = ["Key", "rejections", "removal"]

Key = tuple[str, str, str]
"""App, event id, subject."""


def removal(days: Iterable[int]) -> str:
    """The statement that removes them from the staged events of these days; it returns their keys.

    To be run after the merge, and only if that left something out: it asks the primary key for one
    row for each staged event. Subqueries of one day each, for the reason told in `moved.removal`.
    """
    return (
        "DELETE FROM stage_fact_events AS mine WHERE "  # noqa: S608 - numbers
        + " OR ".join(_is_anothers(day) for day in sorted(days))
        + " RETURNING app_id, event_id, subject"
    )


def _is_anothers(day: int) -> str:
    return (
        f"(mine.event_day = {day} AND mine.subject <> (SELECT there.subject "  # noqa: S608 - numbers
        f"FROM fact_events AS there WHERE there.event_day = DATE '1970-01-01' + {day} "
        "AND there.app_id = mine.app_id AND there.event_id = mine.event_id))"
    )


def rejections(batch: Batch, keys: Iterable[Key]) -> list[Rejected]:
    """These events of the batch as rejected ones, the messages that brought them kept."""
    wanted = set(keys)
    found = []
    for message in batch.messages:
        event = _event(message) if isinstance(message, Message) else None
        key = (event.app_id, event.event_id, event.subject) if event else None
        if event is not None and key in wanted:
            wanted.remove(key)
            found.append(_rejected(event, message.value or b"", batch.version))
    return found


def _event(message: Message) -> Event | None:
    try:
        record = decode(message.value)
    except UndecodableError:
        return None
    return record if isinstance(record, Event) else None


def _rejected(event: Event, payload: bytes, version: str) -> Rejected:
    # The same however often the event comes.
    named = f"{event.app_id}\0{event.event_id}\0{event.subject}"
    digest = hashlib.blake2b(named.encode(), digest_size=16).hexdigest()
    return Rejected(
        rejected_id=f"warehouse:taken:{digest}",
        app_id=event.app_id,
        stage="warehouse",
        reasons=[Reason.EVENT_ID_TAKEN],
        detail=f"the event id {event.event_id} is that of an event of another subject",
        payload=payload,
        content_type="avro/binary",
        received_at_ms=event.received_at_ms,
        version=version,
    )
