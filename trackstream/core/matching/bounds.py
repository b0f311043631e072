"""What is kept where more is known than there is room for: what would win.

It follows from what each of them is, so the order in which they came hardly matters. It does for
what is left of a flood (late clicks of an hour that is forgotten are taken as honest), and where a
touch that a fingerprint had led to was dropped before another identifier led to it, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from trackstream.core.fraud import fullest_hours

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from trackstream.core.records import Prior

__all__ = ["foremost", "kept"]


class Made(Protocol):
    """A touch, or what stands for one."""

    @property
    def touch_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def at_ms(self) -> int: ...


M = TypeVar("M", bound=Made)

_WEIGHTS = {"install": 2, "reengagement": 1}


def kept(
    touches: Iterable[M],
    most: int,
    *,
    guessed: Collection[str] = (),
    per_hour: int | None = None,
) -> list[M]:
    """The touches that are kept, newest first.

    Clicks before impressions, and both before what a fingerprint alone has led to: neither hundreds
    of strangers behind a carrier's address nor hundreds of banners push out a click. Clicks of a
    flooded hour come last, for they are rejected: who floods does not push out the honest.

    Args:
        touches: All that are known, each once.
        most: As many.
        guessed: Ids of those that only a fingerprint has led to.
        per_hour: More clicks in an hour are no person's, and rejected; None: they may be many
            people's.
    """
    newest = sorted(touches, key=_when, reverse=True)
    if len(newest) <= most:
        return newest
    if per_hour is not None and per_hour >= most:
        per_hour = None  # so few could never show a flood
    clicks = [one for one in newest if one.kind == "click" and one.touch_id not in guessed]
    flooding = _flooding(clicks, per_hour)
    others = [one for one in newest if one.touch_id not in flooding]
    others.sort(key=lambda one: (one.touch_id in guessed, one.kind != "click"))
    flood = [one for one in newest if one.touch_id in flooding]
    # Of the newest as many as show it, or what comes next would look honest.
    left = others[: max(0, most - len(flood[: (per_hour or 0) + 1]))]
    last = flood[: most - len(left)]
    while True:
        clicks = [one for one in (*left, *last) if one.touch_id not in guessed]
        shown = _flooding([one for one in clicks if one.kind == "click"], per_hour)
        if shown.issuperset(one.touch_id for one in last):
            return sorted([*left, *last], key=_when, reverse=True)
        # Without the others of its hour it would look honest.
        last = [one for one in last if one.touch_id in shown]


def _flooding(clicks: Collection[M], per_hour: int | None) -> set[str]:
    """Ids of the clicks in hours that have more than so many."""
    if per_hour is None:
        return set()
    hours = fullest_hours(one.at_ms for one in clicks)
    return {one.touch_id for one in clicks if hours[one.at_ms] > per_hour}


def foremost(priors: Iterable[Prior], most: int) -> list[Prior]:
    """The earlier conversions that are kept, newest first.

    Installs before re-engagements, whose time is short, and both before events, from which nobody
    inherits.
    """
    ranked = sorted(priors, key=lambda one: (_WEIGHTS.get(one.kind, 0), _moment(one)), reverse=True)
    return sorted(ranked[:most], key=_moment, reverse=True)


def _when(one: Made) -> tuple[int, str]:
    return one.at_ms, one.touch_id


def _moment(one: Prior) -> tuple[int, str]:
    return one.at_ms, one.conversion_id
