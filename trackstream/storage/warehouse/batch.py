"""Messages as staged rows, ready to be written in one transaction."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from trackstream.codec import UndecodableError, decode
from trackstream.core.reasons import Reason
from trackstream.core.records import Attribution, Event, PersonLink, Rejected, Session
from trackstream.storage.consumer import Message
from trackstream.storage.warehouse.moved import other_days
from trackstream.storage.warehouse.rows import (
    DAY_MS,
    Row,
    attribution_row,
    credit_rows,
    event_row,
    person_link_row,
    rejected_row,
    revision_row,
    session_row,
)
from trackstream.storage.warehouse.staging import as_csv

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trackstream.core.records import Record
    from trackstream.storage.errors import RowsRefusedError

__all__ = ["MAX_DAYS", "Batch", "Message", "batches", "halves"]

MAX_DAYS = 32
"""Days of events in one transaction: each may be a partition, with its indexes locked and open.

Twice as many others may be looked at.
"""

# What both datetime and PostgreSQL's own functions take: the years 1 to 9999.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896


class _Refused(NamedTuple):
    """A message whose rows were refused, and why; otherwise as `Message`."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    refusal: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One transaction's worth.

    Attributes:
        messages: What it was made of, in order of offset within each partition.
        csv: Rows to COPY, by table, in the order in which they are written.
        days: Days since 1970 of the events.
        other_days: Days on which earlier copies of some of them may be.
        next_offsets: By (topic, partition), the offset after the batch.
        version: Of the program, for what is refused.
    """

    messages: Sequence[Message | _Refused]
    csv: dict[str, bytes]
    days: frozenset[int]
    other_days: frozenset[int]
    next_offsets: dict[tuple[str, int], int]
    version: str


def halves(batch: Batch, error: RowsRefusedError, *, version: str) -> list[Batch]:
    """A batch that PostgreSQL refuses in two; of one message, the message as a rejected one.

    Raises:
        RowsRefusedError: Not even the row that says so can be written.
    """
    messages = batch.messages
    if len(messages) > 1:
        middle = len(messages) // 2
        return [
            *batches(messages[:middle], version=version),
            *batches(messages[middle:], version=version),
        ]
    message = messages[0]
    if isinstance(message, _Refused):
        raise error
    return list(batches([_Refused(*message, str(error))], version=version))


def batches(messages: Sequence[Message | _Refused], *, version: str) -> Iterator[Batch]:
    """The messages in as few batches as their days allow, in order.

    What cannot be decoded, or was refused, becomes a row of `rejected` with the original bytes.
    """
    rows = _Rows()
    begin = 0
    for number, message in enumerate(messages):
        record = _record(message, version)
        if isinstance(record, Event):
            day, others = record.timestamp_ms // DAY_MS, other_days(record)
            if not rows.have_room(day, others):
                yield rows.batch(messages[begin:number], version)
                rows, begin = _Rows(), number
            rows.days.add(day)
            rows.other_days |= others
        rows.add(record)
    if begin < len(messages):
        yield rows.batch(messages[begin:], version)


class _Rows:
    def __init__(self) -> None:
        self.days: set[int] = set()
        self.other_days: set[int] = set()
        self._events: dict[tuple[str, str, str], Row] = {}
        self._sessions: dict[tuple[str, str], Session] = {}
        self._attributions: dict[tuple[str, str], Attribution] = {}
        self._revisions: list[Row] = []
        self._person_links: dict[tuple[str, ...], PersonLink] = {}
        self._rejected: list[Row] = []

    def have_room(self, day: int, others: frozenset[int]) -> bool:
        return (day in self.days or len(self.days) < MAX_DAYS) and (
            others <= self.other_days or len(self.other_days) < 2 * MAX_DAYS
        )

    def add(self, record: Record) -> None:
        if isinstance(record, Event):
            event = (record.app_id, record.event_id, record.subject)
            # The first counts, as if they had come apart: the second may be of another day.
            if event not in self._events:
                self._events[event] = event_row(record)
        elif isinstance(record, Session):
            key = (record.app_id, record.session_id)
            # An INSERT can change a row once: of several revisions the newest goes.
            if key not in self._sessions or self._sessions[key].revision < record.revision:
                self._sessions[key] = record
        elif isinstance(record, Attribution):
            self._revisions.append(revision_row(record))
            key = (record.app_id, record.conversion_id)
            if key not in self._attributions or self._attributions[key].revision < record.revision:
                self._attributions[key] = record
        elif isinstance(record, PersonLink):
            name = (record.app_id, record.kind, record.identifier, record.other)
            if name not in self._person_links or self._person_links[name].at_ms > record.at_ms:
                self._person_links[name] = record
        elif isinstance(record, Rejected):
            self._rejected.append(rejected_row(record))

    def batch(self, messages: Sequence[Message | _Refused], version: str) -> Batch:
        rows = {
            "fact_events": self._events.values(),
            "fact_sessions": [session_row(one) for one in self._sessions.values()],
            "attributions": [attribution_row(one) for one in self._attributions.values()],
            "attribution_credits": [
                row for one in self._attributions.values() for row in credit_rows(one)
            ],
            "attribution_revisions": self._revisions,
            "person_links": [person_link_row(one) for one in self._person_links.values()],
            "rejected": self._rejected,
        }
        return Batch(
            messages=messages,
            csv={table: as_csv(some) for table, some in rows.items() if some},
            days=frozenset(self.days),
            other_days=frozenset(one for one in self.other_days if _FIRST_DAY <= one <= _LAST_DAY),
            next_offsets={(one.topic, one.partition): one.offset + 1 for one in messages},
            version=version,
        )


def _record(message: Message | _Refused, version: str) -> Record:
    if isinstance(message, _Refused):
        return _rejected(message, Reason.INVALID_VALUE, message.refusal, version)
    try:
        record = decode(message.value)
    except UndecodableError as error:
        return _rejected(message, Reason.UNDECODABLE, str(error), version)
    if isinstance(record, Event):
        if not _FIRST_DAY <= record.timestamp_ms // DAY_MS <= _LAST_DAY:
            why = f"timestamp_ms {record.timestamp_ms} is in no year from 1 to 9999"
            return _rejected(message, Reason.TIMESTAMP_OUT_OF_RANGE, why, version)
    elif not isinstance(record, Session | Attribution | PersonLink | Rejected):
        why = f"a {type(record).__name__} does not belong on this topic"
        return _rejected(message, Reason.UNDECODABLE, why, version)
    return record


def _rejected(message: Message | _Refused, reason: Reason, detail: str, version: str) -> Rejected:
    return Rejected(
        # The same whenever the message is read again.
        rejected_id=f"warehouse:{message.topic}:{message.partition}:{message.offset}",
        stage="warehouse",
        reasons=[reason],
        detail=detail,
        payload=message.value or b"",
        content_type="avro/binary",
        received_at_ms=time.time_ns() // 1_000_000,
        version=version,
    )
