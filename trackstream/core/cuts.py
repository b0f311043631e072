"""Where cells are cut into sessions: at gaps, at the longest session, at another campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackstream.core.cells import Cell, total
from trackstream.core.rules import HOUR_MS

if TYPE_CHECKING:
    from trackstream.core.records import Campaign
    from trackstream.core.rules import Rules

__all__ = ["coarse", "cut"]

_MOST_CELLS = 512
"""Of one session; beyond it cells are joined by hours, and are not cut any finer then."""


def cut(cells: list[Cell], rules: Rules) -> list[list[Cell]]:
    """The sessions of these cells."""
    cuts: list[list[Cell]] = []
    named: Campaign | None = None  # with every kind of click id that it has come with
    for cell in cells:
        campaign = cell.campaign[2] if cell.campaign else None
        another = campaign is not None and not _same(campaign, named)
        if (
            not cuts
            or cell.start[0] - cuts[-1][-1].end[0] > rules.session_gap_ms
            or cell.end[0] - cuts[-1][0].start[0] > rules.session_cap_ms
            or (rules.session_per_campaign and another)
        ):
            cuts.append([cell])
            named = campaign
        else:
            cuts[-1].append(cell)
            named = _both(campaign, named) if rules.session_per_campaign else None
    return cuts


def _same(a: Campaign, b: Campaign | None) -> bool:
    """Whether a, after b, is the same campaign: its texts are, and it has no new kind of click id.

    Each click on an ad has an id of its own, so only the ids' names are compared; and a site may
    leave out the ids on its further pages, and no more than that.
    """
    return b is not None and a.click_ids.keys() <= b.click_ids.keys() and _texts(a) == _texts(b)


def _texts(campaign: Campaign) -> Campaign:
    return msgspec.structs.replace(campaign, click_ids={}) if campaign.click_ids else campaign


def _both(now: Campaign | None, before: Campaign | None) -> Campaign | None:
    if now is None or before is None:
        return now or before
    return msgspec.structs.replace(now, click_ids={**before.click_ids, **now.click_ids})


def coarse(cells: list[Cell]) -> list[Cell]:
    """The cells of a session, joined by hours if they are too many."""
    if len(cells) <= _MOST_CELLS:
        return cells
    hours: dict[int, list[Cell]] = {}
    for cell in cells:
        hours.setdefault(cell.start[0] // HOUR_MS, []).append(cell)
    return [total(held) for held in hours.values()]
