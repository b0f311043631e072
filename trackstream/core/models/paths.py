"""The touches that led to a conversion, as small values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.core.records import Candidate, Touch

__all__ = ["NO_CHANNEL", "ConvertedPath", "PathCount", "PathTouch", "channel_of", "path_of"]

NO_CHANNEL = "(none)"
"""The channel of a touch that names none."""

_ELIGIBLE = frozenset({"chosen", "older", "lower_class", "inherited"})
"""Verdicts of touches that were within their window and not refused."""


class PathTouch(NamedTuple):
    """A touch as models see it."""

    touch_id: str
    at_ms: int
    channel: str


class ConvertedPath(NamedTuple):
    """A conversion and its touches, newest last; no touches if it is organic."""

    path: tuple[PathTouch, ...]
    at_ms: int
    revenue_micros: int
    currency: str | None


class PathCount(NamedTuple):
    """How many journeys went along these channels, newest last, and how they ended."""

    channels: tuple[str, ...]
    conversions: int
    value_micros: int
    nulls: int
    """Journeys that ended without a conversion."""


def channel_of(touch: Touch) -> str:
    """The channel that a touch counts for: its own, else its campaign's, else its UTM medium."""
    campaign = touch.campaign
    marked = (campaign.channel or campaign.utm_medium) if campaign else None
    return touch.channel or marked or NO_CHANNEL


def path_of(
    candidates: Iterable[Candidate], *, method: str, touch: Touch | None
) -> tuple[PathTouch, ...]:
    """The path of a decision: its eligible candidates, and the touch that was credited.

    Args:
        candidates: with their verdicts, in any order.
        method: how it was decided. A reinstall's path is the first install's touch alone: what
            came later did not bring the user.
        touch: what was credited, which an inherited decision takes from an earlier conversion.

    Returns:
        The touches, oldest first, each once; touches of one moment in the order of their ids.
    """
    touches = {touch.touch_id: touch} if touch else {}
    if method != "reinstall":
        touches |= {one.touch.touch_id: one.touch for one in candidates if one.verdict in _ELIGIBLE}
    return tuple(
        sorted(
            (PathTouch(one.touch_id, one.at_ms, channel_of(one)) for one in touches.values()),
            key=lambda one: (one.at_ms, one.touch_id),
        )
    )
