"""What models fitted to paths have given, where somebody has asked to keep it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Double, Index, Numeric, Table, Text

from trackstream.storage.schema.columns import json, metadata, money, text, time

__all__ = ["model_results"]

model_results = Table(
    "model_results",
    metadata,
    text("result_id", primary_key=True),
    text("channel", primary_key=True),
    text("app_id", required=True),
    text("model", required=True),
    json("parameters"),
    Column("source", Text, nullable=False, comment="stored, or the name of a path file"),
    Column("first_day", Date, comment="of the conversions, in UTC"),
    Column("last_day", Date, comment="included"),
    text("event"),
    time("fitted_at", required=True),
    Column("share", Double, nullable=False),
    Column("conversions", Numeric(20, 6), nullable=False),
    money("value"),
    text("currency"),
    Column("effect", Double, comment="removal effect, or Shapley value in conversions"),
    Column("standard_error", Double),
    Column("total_nulls", BigInteger, nullable=False, comment="journeys without a conversion"),
    Index(None, "app_id", "fitted_at"),
)
