"""What the warehouse writes from the topics, and how far it has come.

Everything is inside an app: the ids that clients choose may be the same in two of them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    false,
)
from sqlalchemy.dialects.postgresql import ARRAY

from trackstream.storage.schema.columns import json, metadata, money, text, time

__all__ = [
    "attribution_credits",
    "attribution_revisions",
    "attributions",
    "consumer_offsets",
    "dim_campaigns",
    "dim_users",
    "fact_events",
    "fact_sessions",
    "rejected",
]

fact_events = Table(
    "fact_events",
    metadata,
    text("app_id", primary_key=True),
    text("event_id", primary_key=True),
    # PostgreSQL wants the partition's column in every unique key. The time of an event is the same
    # however often it is delivered, so this makes ids no less unique.
    Column("event_day", Date, primary_key=True, comment="of event_at, in UTC"),
    text("event", required=True),
    time("event_at", required=True),
    time("client_at", required=True),
    time("received_at", required=True),
    Column("late", Boolean, nullable=False),
    text("person", required=True),
    text("subject", required=True),
    text("session_id", required=True),
    text("user_id"),
    text("device_id"),
    text("cookie_id"),
    json("properties"),
    money("revenue"),
    text("currency"),
    text("campaign_id"),
    text("channel"),
    text("utm_source"),
    text("utm_medium"),
    text("utm_campaign"),
    text("utm_term"),
    text("utm_content"),
    json("click_ids"),
    text("app_version"),
    text("page_url"),
    text("page_referrer"),
    text("page_title"),
    json("context"),
    json("referral"),
    text("ip"),
    text("user_agent"),
    text("browser"),
    text("browser_version"),
    text("os_name"),
    text("os_version"),
    text("device_brand"),
    text("device_model"),
    Column("bot", Boolean, nullable=False),
    text("country"),
    text("region"),
    text("city"),
    text("timezone"),
    Index(None, "app_id", "person", "event_at"),
    postgresql_partition_by="RANGE (event_day)",
)

fact_sessions = Table(
    "fact_sessions",
    metadata,
    text("app_id", primary_key=True),
    text("session_id", primary_key=True),
    Column("revision", BigInteger, nullable=False),
    text("person", required=True),
    text("subject", required=True),
    text("status", required=True),
    text("merged_into"),
    time("started_at", required=True),
    time("ended_at", required=True),
    Column("event_count", BigInteger, nullable=False),
    Column("page_views", BigInteger, nullable=False),
    Column("conversions", BigInteger, nullable=False),
    money("revenue"),
    text("currency"),
    text("entry_page"),
    text("exit_page"),
    text("campaign_id"),
    text("channel"),
    text("utm_source"),
    text("utm_medium"),
    text("utm_campaign"),
    text("utm_term"),
    text("utm_content"),
    text("browser"),
    text("os_name"),
    text("device_model"),
    text("country"),
    text("city"),
    Column("bot", Boolean, nullable=False),
    Index(None, "app_id", "started_at"),
    Index(None, "app_id", "person", "started_at"),
)


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

dim_users = Table(
    "dim_users",
    metadata,
    text("app_id", primary_key=True),
    text("person", primary_key=True),
    time("first_seen_at", required=True),
    time("last_seen_at", required=True),
    text("user_id"),
    text("country"),
    text("os_name"),
    # Most of what is written here is last_seen_at: room for the new version on the same page.
    postgresql_with={"fillfactor": "70"},
)

dim_campaigns = Table(
    "dim_campaigns",
    metadata,
    text("app_id", primary_key=True),
    Column("campaign", Text, primary_key=True, comment="campaign_id, else utm_campaign"),
    text("channel"),
    text("network"),
    text("utm_source"),
    text("utm_medium"),
    time("first_seen_at", required=True),
    time("last_seen_at", required=True),
)

rejected = Table(
    "rejected",
    metadata,
    text("rejected_id", primary_key=True),
    text("app_id"),
    text("stage", required=True),
    Column("reasons", ARRAY(Text), nullable=False),
    text("detail", required=True),
    Column("payload", LargeBinary, nullable=False),
    text("content_type"),
    time("received_at", required=True),
    text("version", required=True),
    Index(None, "app_id", "received_at"),
)

consumer_offsets = Table(
    "consumer_offsets",
    metadata,
    text("consumer_group", primary_key=True),
    text("topic", primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, comment="NULL: nothing was written yet"),
    Column("epoch", BigInteger, nullable=False, comment="of the writer who owns the partition"),
    time("updated_at", required=True),
)
