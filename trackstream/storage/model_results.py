"""Keeping what a model has given, and listing what was kept."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import func, insert, select

from trackstream.storage.database import transaction
from trackstream.storage.schema import model_results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from sqlalchemy import Engine

__all__ = ["ModelResult", "ModelResultRow", "keep", "kept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResultRow:
    """One channel's part."""

    channel: str
    share: float
    conversions_millionths: int
    value_micros: int
    effect: float | None
    standard_error: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """A model fitted once."""

    app_id: str
    model: str
    parameters: Mapping[str, Any]
    source: str
    """`stored`, or the name of a path file."""
    first_day: date | None
    last_day: date | None
    event: str | None
    currency: str | None
    total_nulls: int
    rows: Sequence[ModelResultRow]


def keep(engine: Engine, result: ModelResult) -> str:
    """Write a result; its id. Blocks.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    result_id = uuid4().hex
    common = {
        "result_id": result_id,
        "app_id": result.app_id,
        "model": result.model,
        "parameters": dict(result.parameters),
        "source": result.source,
        "first_day": result.first_day,
        "last_day": result.last_day,
        "event": result.event,
        "currency": result.currency,
        "total_nulls": result.total_nulls,
        "fitted_at": func.now(),
    }
    with transaction(engine) as connection:
        for row in result.rows:
            connection.execute(
                insert(model_results).values(
                    **common,
                    channel=row.channel,
                    share=row.share,
                    conversions=_units(row.conversions_millionths),
                    value=_units(row.value_micros),
                    effect=row.effect,
                    standard_error=row.standard_error,
                )
            )
    return result_id


def kept(engine: Engine, app_id: str) -> list[dict[str, Any]]:
    """The kept results of an app, the newest first: one mapping each, without its channels. Blocks.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    table = model_results.c
    once = (
        table.result_id,
        table.fitted_at,
        table.model,
        table.parameters,
        table.source,
        table.first_day,
        table.last_day,
        table.event,
        table.currency,
    )
    query = (
        select(
            *once,
            func.count().label("channels"),
            func.sum(table.conversions).label("conversions"),
            func.sum(table.value).label("value"),
        )
        .where(table.app_id == app_id)
        .group_by(*once)
        .order_by(table.fitted_at.desc(), table.result_id)
    )
    with transaction(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _units(millionths: int) -> Decimal:
    return Decimal(millionths).scaleb(-6)
