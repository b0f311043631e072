"""The records that travel on the topics: one class per schema in `schemas/`, field for field.

Times are epoch milliseconds (`_ms`), money is millionths of the currency unit (`_micros`), so that
sums are exact. `properties` and `extra` are JSON text: they are carried, not understood.
A test compares every class here with its Avro schema.
"""

from __future__ import annotations

from trackstream.core.records.base import Record
from trackstream.core.records.decided import Attribution, Candidate, Credit, Earlier
from trackstream.core.records.identity import (
    Answer,
    Claim,
    Claimed,
    Conversion,
    Link,
    Outcome,
    Prior,
    Probe,
    Touch,
)
from trackstream.core.records.published import Event, LastTouch, PersonLink, Rejected, Session
from trackstream.core.records.sent import Campaign, Context, Envelope, RawEvent, Referral, Tick

__all__ = [
    "Answer",
    "Attribution",
    "Campaign",
    "Candidate",
    "Claim",
    "Claimed",
    "Context",
    "Conversion",
    "Credit",
    "Earlier",
    "Envelope",
    "Event",
    "LastTouch",
    "Link",
    "Outcome",
    "PersonLink",
    "Prior",
    "Probe",
    "RawEvent",
    "Record",
    "Referral",
    "Rejected",
    "Session",
    "Tick",
    "Touch",
]
