"""Sources of clicks that get no credit, since their installs come as no person makes them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Table, Text

from trackstream.storage.schema.columns import json, metadata, text, time

__all__ = ["fraud_sources"]

fraud_sources = Table(
    "fraud_sources",
    metadata,
    text("app_id", primary_key=True),
    Column("source", Text, primary_key=True, comment="campaign_id/sub_publisher"),
    time("since", required=True),
    text("reason", required=True),
    json("figures"),
    time("unmarked_at", comment="clicks since then are judged anew; NULL: marked"),
    CheckConstraint("reason IN ('flooding', 'injection')", name="reason"),
)
