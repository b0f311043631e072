"""The funnels of apps, all versions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Table, Text

from trackstream.storage.schema.columns import metadata, text, time

__all__ = ["funnels"]

funnels = Table(
    "funnels",
    metadata,
    Column("app_id", Text, ForeignKey("apps.app_id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False, comment="the last one counts"),
    Column("version", Text, nullable=False, comment="made from the content"),
    Column("toml", Text, nullable=False, comment="as it was given"),
    text("note"),
    time("set_at", required=True),
    Column(
        "effective_at",
        time("effective_at").type,
        nullable=False,
        comment="later, so that all workers know of it by then",
    ),
)
