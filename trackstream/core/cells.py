"""What sessions are made of: events of one subject, added up in cells that need never be split.

A cell holds events of one slot of time (an hour, usually) that are at most the gap apart. Joining
two cells is associative and commutative, so the cells of a subject are the same for every order
of arrival; sessions are then cut out of them (`core.sessions`), again and again as they change.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from trackstream.core.money import within_64_bits
from trackstream.core.records import Campaign
from trackstream.core.rules import HOUR_MS
from trackstream.core.texts import clean, cut

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.core.records import Event
    from trackstream.core.rules import Rules

__all__ = ["Cell", "Moment", "cell_of", "inserted", "joined", "mark", "total"]

T = TypeVar("T")

_SCREEN_VIEW = "screen_view"
_PAGE_VIEWS = frozenset({"page_view", _SCREEN_VIEW})
_CELLS_PER_CAP = 24
_URL_BYTES = 1_024
_NAME_BYTES = 256
"""Of texts that a cell keeps: the events themselves have them whole. With these it takes 8 KiB."""
_FEW_CHARS = 64
"""Not more bytes than that, in whatever script."""
_MOST_CLICK_IDS = 16
_CAMPAIGN_TEXTS = tuple(name for name in Campaign.__struct_fields__ if name != "click_ids")
_MOST_CURRENCIES = 16
"""Of a cell: the first by the alphabet, whichever came first."""

Moment = tuple[int, int]
"""(time in ms by the device's clock, hash of the event id): orders events of one ms, too."""


Device = tuple[str | None, str | None, str | None, str | None]
"""Browser, operating system, model, form factor."""
Where = tuple[str | None, str | None]
"""Country, city."""


class _Screen(msgspec.Struct):
    """What of a screen's properties is read."""

    name: Any = None


_SCREENS = msgspec.json.Decoder(_Screen)


class Cell(msgspec.Struct, frozen=True, array_like=True):
    """Some events, added up. Times are the device's own, uncorrected."""

    start: Moment
    end: Moment
    event_count: int = 1
    page_views: int = 0
    conversions: dict[str, int] = {}
    """By the event's name."""
    revenue_micros: dict[str, int] = {}
    """By currency; an unknown one is the empty text."""
    entry: tuple[int, int, str] | None = None
    """(time, hash, URL) of the first page; of an app's screen, its name."""
    exit: tuple[int, int, str] | None = None
    campaign: tuple[int, int, Campaign] | None = None
    """The first campaign that is named."""
    device: tuple[int, int, Device] | None = None
    where: tuple[int, int, Where] | None = None
    """Those of the first event of which anything of it is known."""
    bot: bool = False
    user: tuple[int, int, str] | None = None
    """The last user that is named."""


def mark(text: str) -> int:
    """64 bits that stand for a text in state, where the text itself would take more."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def cell_of(event: Event, *, at: Moment, converted: bool, names_user: str | None = None) -> Cell:
    """The cell of this event alone.

    Args:
        event: Enriched.
        at: Its moment by the device's clock.
        converted: Whether the rules call it a conversion.
        names_user: The user that the event itself names.
    """
    seen = event.event in _PAGE_VIEWS
    page = _page(event) if seen else None
    visit = (*at, cut(page, _URL_BYTES)) if page else None
    names = (_named(event.browser), _named(event.os_name), _named(event.device_model))
    device = (*names, event.form_factor)
    where = (_named(event.country), _named(event.city))
    return Cell(
        start=at,
        end=at,
        page_views=int(seen),
        conversions={event.event: 1} if converted else {},
        revenue_micros={event.currency or "": event.revenue_micros} if event.revenue_micros else {},
        entry=visit,
        exit=visit,
        campaign=(*at, _shortened(event.campaign)) if event.campaign else None,
        device=(*at, device) if any(device) else None,
        where=(*at, where) if any(where) else None,
        bot=event.bot,
        user=(*at, names_user) if names_user is not None else None,
    )


def _page(event: Event) -> str | None:
    """The page's URL; of a screen, which has none, its name, as Segment's screen calls have it."""
    url = event.context.page_url if event.context else None
    if url or event.event != _SCREEN_VIEW or event.properties == "{}":
        return url
    try:
        name = _SCREENS.decode(event.properties).name
    except msgspec.DecodeError:
        return None
    return clean(name).strip() if isinstance(name, str) else None


def _named(text: str | None) -> str | None:
    return text if text is None or len(text) <= _FEW_CHARS else cut(text, _NAME_BYTES)


def _shortened(campaign: Campaign) -> Campaign:
    """The campaign, its texts cut where they are long; they are many, and mostly short."""
    texts = {name: text for name in _CAMPAIGN_TEXTS if (text := getattr(campaign, name))}
    ids = campaign.click_ids
    short = all(len(text) <= _FEW_CHARS for text in (*texts.values(), *ids.values()))
    if short and len(ids) <= _MOST_CLICK_IDS:
        return campaign
    return msgspec.structs.replace(
        campaign,
        **{name: cut(text, _NAME_BYTES) for name, text in texts.items()},
        click_ids={
            cut(name, _FEW_CHARS): cut(ids[name], _NAME_BYTES)
            for name in sorted(ids)[:_MOST_CLICK_IDS]
        },
    )


def joined(a: Cell, b: Cell) -> Cell:
    """Both as one; associative and commutative."""
    return Cell(
        start=min(a.start, b.start),
        end=max(a.end, b.end),
        event_count=a.event_count + b.event_count,
        page_views=a.page_views + b.page_views,
        conversions=_sum(a.conversions, b.conversions),
        revenue_micros=_money(a.revenue_micros, b.revenue_micros),
        entry=_first(a.entry, b.entry),
        exit=_last(a.exit, b.exit),
        campaign=_first(a.campaign, b.campaign),
        device=_first(a.device, b.device),
        where=_first(a.where, b.where),
        bot=a.bot or b.bot,
        user=_last(a.user, b.user),
    )


def total(cells: Iterable[Cell]) -> Cell:
    """All as one; there is at least one."""
    first, *rest = cells
    for one in rest:
        first = joined(first, one)
    return first


def inserted(cells: list[Cell], new: Cell, *, rules: Rules) -> list[Cell]:
    """The cells with one more, in order of time.

    The slots of time are as wide as the rules let sessions be cut: to the millisecond where a new
    campaign begins one, else a 24th of the longest session.
    """
    width_ms = 1 if rules.session_per_campaign else _width_ms(rules)
    kept: list[Cell] = []
    for one in cells:
        if _together(one, new, gap_ms=rules.session_gap_ms, width_ms=width_ms):
            new = joined(new, one)
        else:
            kept.append(one)
    return sorted([*kept, new], key=lambda one: one.start)


def _width_ms(rules: Rules) -> int:
    return max(1, min(HOUR_MS, rules.session_cap_ms // _CELLS_PER_CAP))


def _together(a: Cell, b: Cell, *, gap_ms: int, width_ms: int) -> bool:
    apart_ms = max(a.start[0] - b.end[0], b.start[0] - a.end[0])
    same_slot = a.start[0] // width_ms == b.start[0] // width_ms
    return apart_ms <= 0 or (same_slot and apart_ms <= gap_ms)


def _sum(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    if not a or not b:
        return a or b
    return {name: within_64_bits(a.get(name, 0) + b.get(name, 0)) for name in sorted({*a, *b})}


def _money(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    sums = _sum(a, b)
    if len(sums) <= _MOST_CURRENCIES:
        return sums
    return {code: sums[code] for code in sorted(sums)[:_MOST_CURRENCIES]}


def _first(a: tuple[int, int, T] | None, b: tuple[int, int, T] | None) -> tuple[int, int, T] | None:
    if a is None or b is None:
        return a or b
    return a if a[:2] <= b[:2] else b


def _last(a: tuple[int, int, T] | None, b: tuple[int, int, T] | None) -> tuple[int, int, T] | None:
    if a is None or b is None:
        return a or b
    return b if a[:2] <= b[:2] else a
