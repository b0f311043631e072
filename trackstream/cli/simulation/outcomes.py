"""What came out, beside what is true."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from trackstream.cli.simulation.journeys import KINDS
from trackstream.storage.schema import attributions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from trackstream.cli.simulation.steps import Journey

__all__ = ["Difference", "compared", "differences", "wait"]

_POLL_S = 0.5
_SETTLE_S = 1.5
_CHUNK = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A conversion that did not come out as is true."""

    kind: str
    event_id: str
    conversion_id: str | None
    """None: there is no attribution of it."""
    expected: str
    found: str


async def wait(
    engine: Engine,
    *,
    app_id: str,
    journeys: Sequence[Journey],
    campaign_ids: Sequence[str],
    patience_s: float,
) -> list[Difference]:
    """Wait until everything is as it is true to be and stays so, or until patience ends.

    Returns:
        What differs in the end; empty when nothing does.
    """
    deadline = time.monotonic() + patience_s
    ids = [one.event_id for journey in journeys for one in journey.expected]
    settled = False
    while True:
        found = await asyncio.to_thread(_read, engine, app_id, ids)
        different = differences(found, journeys, campaign_ids)
        if (not different and settled) or (different and time.monotonic() > deadline):
            return different
        # Once more after it is right: it may only have been right so far.
        settled = not different
        await asyncio.sleep(_SETTLE_S if settled else _POLL_S)


def differences(
    found: dict[str, tuple[str, str, str | None]],
    journeys: Sequence[Journey],
    campaign_ids: Sequence[str],
) -> list[Difference]:
    """Where what was found is not what is true.

    Args:
        found: by event id: conversion id, method, campaign id.
        journeys: what was played.
        campaign_ids: of the campaigns by number.
    """
    wrong = []
    for journey in journeys:
        for one in journey.expected:
            campaign = None if one.campaign is None else campaign_ids[one.campaign]
            there = found.get(one.event_id)
            if there is not None and there[1:] == (one.method, campaign):
                continue
            wrong.append(
                Difference(
                    kind=journey.kind,
                    event_id=one.event_id,
                    conversion_id=None if there is None else there[0],
                    expected=_said(one.method, campaign),
                    found="nothing" if there is None else _said(there[1], there[2]),
                )
            )
    return wrong


def compared(journeys: Sequence[Journey], different: Sequence[Difference]) -> list[dict[str, Any]]:
    """One row for each kind of journey, and one for all."""
    rows = []
    for kind, (_, _, what) in KINDS.items():
        own = [journey for journey in journeys if journey.kind == kind]
        if own:
            rows.append(_row(kind, what, own, [one for one in different if one.kind == kind]))
    return [*rows, _row("all", "", journeys, different)]


def _row(
    kind: str, what: str, journeys: Sequence[Journey], different: Sequence[Difference]
) -> dict[str, Any]:
    expected = sum(len(journey.expected) for journey in journeys)
    missing = sum(one.conversion_id is None for one in different)
    return {
        "journey": kind,
        "what": what,
        "users": len(journeys),
        "expected": expected,
        "as expected": expected - len(different),
        "wrong": len(different) - missing,
        "missing": missing,
    }


def _said(method: str, campaign: str | None) -> str:
    return f"{method}, {campaign}" if campaign else method


def _read(
    engine: Engine, app_id: str, event_ids: Sequence[str]
) -> dict[str, tuple[str, str, str | None]]:
    columns = attributions.c
    found: dict[str, tuple[str, str, str | None]] = {}
    with engine.connect() as connection:
        for start in range(0, len(event_ids), _CHUNK):
            query = select(
                columns.event_id, columns.conversion_id, columns.method, columns.campaign_id
            ).where(
                columns.app_id == app_id,
                columns.event_id.in_(event_ids[start : start + _CHUNK]),
            )
            for event_id, conversion_id, method, campaign_id in connection.execute(query):
                found[event_id] = (conversion_id, method, campaign_id)
    return found
