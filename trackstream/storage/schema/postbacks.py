"""Postbacks: whom to tell, and the outbox of what is told."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from trackstream.storage.schema.columns import metadata, text, time

__all__ = ["postback_destinations", "postbacks"]

postback_destinations = Table(
    "postback_destinations",
    metadata,
    text("destination_id", primary_key=True),
    Column("app_id", Text, ForeignKey("apps.app_id"), nullable=False, index=True),
    text("name", required=True),
    text("method", required=True),
    text("url", required=True),
    text("body"),
    text("campaign_id"),
    text("network"),
    Column("events", ARRAY(Text), nullable=False),
    Column("organic", Boolean, nullable=False),
    text("revisions", required=True),
    text("on_uncertain", required=True),
    Column("max_concurrency", Integer, nullable=False),
    Column("sealed_secret", LargeBinary, comment="AES-256-GCM; none: not signed"),
    time("created_at", required=True),
    time("disabled_at"),
    Column("rejected", Boolean, nullable=False, comment="told of rejected touches, nothing else"),
)

postbacks = Table(
    "postbacks",
    metadata,
    # The key is what makes a decision's postback one, however often the decision is read.
    Column(
        "destination_id",
        Text,
        ForeignKey("postback_destinations.destination_id"),
        primary_key=True,
    ),
    text("conversion_id", primary_key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("postback_id", Text, nullable=False, unique=True),
    text("app_id", required=True),
    Column("person", Text, nullable=False, comment="whose data the request holds"),
    text("event", required=True),
    text("method", required=True),
    Column("url", Text, comment="NULL: delivered, not kept"),
    text("body"),
    text("state", required=True),
    Column("attempt", Integer, nullable=False, comment="of all tries the last"),
    Column("tries", Integer, nullable=False, comment="since it was queued"),
    time("queued_at", required=True),
    time("due_at", required=True),
    time("lease_until", comment="of the sender, who is gone if this has passed"),
    time("updated_at", required=True),
    text("reason"),
    CheckConstraint("state IN ('due', 'sending', 'sent', 'dead', 'unknown')", name="state"),
    CheckConstraint("url IS NOT NULL OR state = 'sent'", name="url"),
    Index("postbacks_app_id_person_idx", "app_id", "person"),
)
Index(
    "postbacks_due_idx",
    postbacks.c.destination_id,
    postbacks.c.due_at,
    postgresql_where=postbacks.c.state == "due",
)
Index(
    "postbacks_sending_idx",
    postbacks.c.lease_until,
    postgresql_where=postbacks.c.state == "sending",
)
Index(
    "postbacks_dead_idx",
    postbacks.c.updated_at,
    postgresql_where=postbacks.c.state.in_(["dead", "unknown"]),
)
