"""What a subject's events say of who is whom, as far as it was not written before."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import msgspec

from trackstream.core.cells import mark
from trackstream.core.identifiers import person_identifiers
from trackstream.core.matching.ask import link_to_click, links_between
from trackstream.core.persons import ALIAS, person_pairs
from trackstream.core.records import Link, PersonLink

if TYPE_CHECKING:
    from trackstream.core.seen import Seen
    from trackstream.core.visitor import VisitorState

__all__ = ["named"]

_MOST_LINKS = 64


def named(
    state: VisitorState, seen: list[Seen], *, everything: bool
) -> tuple[VisitorState, list[Link], list[PersonLink]]:
    """What the events say of who is whom.

    Args:
        state: The subject's, before.
        seen: The events.
        everything: Whether to say also what was said before: in a replay.

    Returns:
        The state after; links not written before; person links not written before, or not with so
        early a time.
    """
    links, persons = list[Link](), list[PersonLink]()
    linked, times_ms = dict[int, None](), dict[int, int]()
    subject = state.subject.partition("|")[2]
    for one in _first_of_each(seen):
        at_ms = one.event.timestamp_ms
        own = person_identifiers(one.raw)
        click_id = one.raw.referral.click_id if one.raw.referral else None
        for a, b in (*combinations(own, 2), *((each, click_id) for each in own if click_id)):
            pair = mark(f"{a} {b}")
            new = pair not in linked and pair not in state.linked
            if new:
                linked[pair] = None
            if not new and not everything:
                continue
            if b == click_id:
                links.append(link_to_click(a, b, app_id=state.app_id, at_ms=at_ms))
            else:
                links += links_between(a, b, app_id=state.app_id, at_ms=at_ms)
        for kind, a, b in person_pairs(one.raw, own, subject=subject):
            name = mark(f"{kind} {a} {b}")
            known_ms = times_ms.get(name, state.told.get(name))
            earlier = known_ms is None or at_ms < known_ms
            if earlier:
                times_ms[name] = at_ms
            if earlier or everything:
                persons.append(
                    PersonLink(app_id=state.app_id, kind=kind, identifier=a, other=b, at_ms=at_ms)
                )
    if linked or times_ms:
        state = msgspec.structs.replace(
            state,
            linked=[*state.linked, *linked][-_MOST_LINKS:],
            told=dict(list((state.told | times_ms).items())[-_MOST_LINKS:]),
        )
    return state, links, persons


def _first_of_each(seen: list[Seen]) -> list[Seen]:
    """The earliest event of each set of identifiers: the others say the same of who is whom."""
    if len(seen) == 1:
        return seen
    first: dict[tuple[str | None, ...], Seen] = {}
    for one in seen:
        raw = one.raw
        alias = raw.event_id if raw.event == ALIAS else None
        click_id = raw.referral.click_id if raw.referral else None
        ids = (
            *(raw.user_id, raw.device_id, raw.cookie_id, raw.gaid, raw.idfa, raw.idfv),
            *(click_id, alias),
        )
        if ids not in first or one.at < first[ids].at:
            first[ids] = one
    return list(first.values())
