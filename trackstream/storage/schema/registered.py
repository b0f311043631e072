"""What people register: apps, keys and links. Triggers count each change of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from trackstream.storage.schema.columns import metadata, text, time

__all__ = ["api_keys", "apps", "directory_version", "links"]

apps = Table(
    "apps",
    metadata,
    text("app_id", primary_key=True),
    text("name", required=True),
    time("created_at", required=True),
    Column("events_toml", Text, comment="its events, as they were defined; NULL: none were"),
    time("events_set_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    text("key_id", primary_key=True),
    Column("app_id", Text, ForeignKey("apps.app_id"), nullable=False, index=True),
    text("kind", required=True),
    Column("sealed_secret", LargeBinary, comment="AES-256-GCM; none for write keys"),
    Column("origins", ARRAY(Text), nullable=False),
    time("created_at", required=True),
    time("revoked_at"),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("previous_sealed_secret", LargeBinary, comment="signs, too, until it is retired"),
    time("previous_until"),
    time("rotated_at"),
    CheckConstraint("kind IN ('server', 'write')", name="kind"),
    CheckConstraint("(kind = 'server') = (sealed_secret IS NOT NULL)", name="secret"),
    CheckConstraint("scopes <@ ARRAY['ingest', 'read', 'admin', 'erase']", name="scopes"),
    CheckConstraint("kind = 'server' OR scopes <@ ARRAY['ingest']", name="write"),
    CheckConstraint("kind = 'server' OR previous_sealed_secret IS NULL", name="previous"),
)

links = Table(
    "links",
    metadata,
    text("link_id", primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("app_id", Text, ForeignKey("apps.app_id"), nullable=False, index=True),
    Column("campaign_id", Text, nullable=False, index=True),
    text("campaign"),
    text("channel"),
    text("network"),
    text("ad_group"),
    text("web_url", required=True),
    text("android_url"),
    text("ios_url"),
    text("deep_link"),
    time("expires_at"),
    time("created_at", required=True),
    Column("overridable", ARRAY(Text), nullable=False, comment="what a click may name otherwise"),
    CheckConstraint("overridable <@ ARRAY['channel', 'network', 'ad_group']", name="overridable"),
)

directory_version = Table(
    "directory_version",
    metadata,
    # One row, so that a change of anything registered is one number to poll.
    Column("singleton", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("singleton = 1", name="singleton"),
)
