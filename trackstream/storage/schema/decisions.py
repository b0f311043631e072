"""What is decided of conversions: as it is now, all that it was, and the credits of each model."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    Table,
    Text,
    false,
)
from sqlalchemy.dialects.postgresql import ARRAY

from trackstream.storage.schema.columns import json, metadata, money, text, time

__all__ = ["attribution_credits", "attribution_revisions", "attributions"]


def _decision() -> list[Column[object]]:
    return [
        text("person", required=True),
        text("subject", required=True),
        text("kind", required=True),
        text("event", required=True),
        text("event_id", required=True),
        time("converted_at", required=True),
        time("decided_at", required=True),
        text("method", required=True),
        Column("confidence", Double, nullable=False),
        text("touch_id"),
        text("touch_kind"),
        time("touched_at"),
        text("click_id"),
        text("link_id"),
        text("campaign_id"),
        text("channel"),
        text("network"),
        text("ad_group"),
        text("creative"),
        text("keyword"),
        text("sub_publisher"),
        money("cost"),
        text("cost_currency"),
        text("identifier"),
        Column("window_ms", BigInteger),
        Column("reattribution", Boolean, nullable=False, server_default=false()),
        text("inherited_from"),
        text("rules_version", required=True),
        text("country"),
        money("revenue"),
        text("currency"),
    ]


attributions = Table(
    "attributions",
    metadata,
    text("app_id", primary_key=True),
    text("conversion_id", primary_key=True),
    Column("revision", BigInteger, nullable=False),
    *_decision(),
    Index(None, "app_id", "converted_at"),
    Index(None, "app_id", "event_id"),
    Index(None, "app_id", "campaign_id", "converted_at"),
)

attribution_revisions = Table(
    "attribution_revisions",
    metadata,
    text("app_id", primary_key=True),
    text("conversion_id", primary_key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    *_decision(),
    json("touch"),
    json("candidates"),
    Column("unanswered", ARRAY(Text), nullable=False),
    text("previous_method"),
    text("previous_touch_id"),
    # What it takes, beside the candidates, to decide again under other rules.
    json("conversion"),
    json("earlier"),
    # `explain` is given an id alone.
    Index(None, "conversion_id"),
    Index(None, "event_id"),
)

attribution_credits = Table(
    "attribution_credits",
    metadata,
    text("app_id", primary_key=True),
    text("conversion_id", primary_key=True),
    text("model", primary_key=True),
    text("touch_id", primary_key=True),
    Column("revision", BigInteger, nullable=False, comment="that of attributions"),
    time("converted_at", required=True),
    text("campaign_id"),
    text("channel"),
    Column("share_millionths", Integer, nullable=False, comment="1,000,000 in all for each model"),
    money("revenue"),
    text("currency"),
    Index(None, "app_id", "model", "converted_at"),
)
