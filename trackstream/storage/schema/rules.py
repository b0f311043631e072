"""The rules of apps: what was ever set, and which of it counted from when on."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, ForeignKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from trackstream.storage.schema.columns import metadata, text, time

__all__ = ["rules", "rules_activations"]

rules = Table(
    "rules",
    metadata,
    Column("app_id", Text, ForeignKey("apps.app_id"), primary_key=True),
    Column("version", Text, primary_key=True, comment="made from the content, named in decisions"),
    Column("toml", Text, nullable=False, comment="as it was given"),
    Column("content", JSONB, nullable=False, comment="every rule, with the defaults of that day"),
    time("created_at", required=True),
)

rules_activations = Table(
    "rules_activations",
    metadata,
    text("app_id", primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    text("version", required=True),
    text("note"),
    time("activated_at", required=True),
    Column(
        "effective_at",
        time("effective_at").type,
        nullable=False,
        comment="later, so that all workers know of it by then",
    ),
    ForeignKeyConstraint(["app_id", "version"], ["rules.app_id", "rules.version"]),
)
