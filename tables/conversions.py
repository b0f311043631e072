"""`conversions`: what each conversion has gathered and how it was decided. Key: conversion id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tables.base import StateTable
from trackstream.core.forgetting import conversion_days
from trackstream.core.matching.conversion import ConversionState
from trackstream.core.matching.gather import deadline_ms

if TYPE_CHECKING:
    from faust.types import AppT

__all__ = ["define"]


def define(app: AppT, **options: Any) -> StateTable[ConversionState]:
    """Add the table to the app."""
    return StateTable(
        app,
        name="conversions",
        state_type=ConversionState,
        version=1,
        due_ms=deadline_ms,
        memory_days=conversion_days,
        help="Gathered candidates and current decision of each conversion",
        **options,
    )
