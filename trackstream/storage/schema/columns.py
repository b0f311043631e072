"""The kinds of columns: one place that says how text, time, money and JSON are kept."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

__all__ = ["json", "metadata", "money", "text", "time"]

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


def text(name: str, *, required: bool = False, primary_key: bool = False) -> Column[str]:
    """Text; absent is NULL, never empty, unless it is required."""
    return Column(name, Text, nullable=not (required or primary_key), primary_key=primary_key)


def time(name: str, *, required: bool = False, **options: Any) -> Column[Any]:
    """A moment; the records' `_ms` become this."""
    return Column(name, TIMESTAMP(timezone=True), nullable=not required, **options)


def money(name: str) -> Column[Any]:
    """An amount in units of its currency; the records' `_micros` become this, exactly."""
    return Column(name, Numeric(20, 6))


def json(name: str) -> Column[Any]:
    """JSON that PostgreSQL can look into."""
    return Column(name, JSONB(none_as_null=True))
