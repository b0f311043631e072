"""Who is one person: what was said of it, and what follows."""

from __future__ import annotations

from sqlalchemy import Index, Table

from trackstream.storage.schema.columns import metadata, text, time

__all__ = ["person_links", "user_id_map"]

person_links = Table(
    "person_links",
    metadata,
    text("app_id", primary_key=True),
    text("kind", primary_key=True),
    text("identifier", primary_key=True),
    text("other", primary_key=True),
    time("at", required=True),
    Index(None, "app_id", "kind", "other"),
)

user_id_map = Table(
    "user_id_map",
    metadata,
    text("app_id", primary_key=True),
    text("identifier", primary_key=True),
    text("person", required=True),
    time("updated_at", required=True),
    Index(None, "app_id", "person"),
)
