"""What a subject's events say of who is whom, as far as it was not written before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackstream.core.cells import mark
from trackstream.core.identifiers import event_identifiers
from trackstream.core.matching.ask import links_of
from trackstream.core.persons import person_links
from trackstream.core.records import Link, PersonLink

if TYPE_CHECKING:
    from trackstream.core.seen import Seen
    from trackstream.core.visitor import VisitorState

__all__ = ["first_of_each", "linked", "told"]

_MOST_LINKS = 64


def first_of_each(seen: list[Seen]) -> list[Seen]:
    """The earliest event of each set of identifiers: the others say the same of who is whom."""
    first: dict[tuple[str | None, ...], Seen] = {}
    for one in seen:
        raw = one.raw
        alias = raw.event_id if raw.event == "alias" else None
        ids = (raw.user_id, raw.device_id, raw.cookie_id, raw.gaid, raw.idfa, raw.idfv, alias)
        if ids not in first or one.at < first[ids].at:
            first[ids] = one
    return list(first.values())


def linked(
    state: VisitorState, seen: list[Seen], *, everything: bool
) -> tuple[VisitorState, list[Link]]:
    """Links not written before; all of them again in a replay."""
    known, links = dict.fromkeys(state.linked), list[Link]()
    for one in seen:
        for link in links_of(one.raw, app_id=state.app_id, at_ms=one.event.timestamp_ms):
            pair = mark(f"{link.identifier} {link.other}")
            if everything or pair not in known:
                links.append(link)
            known[pair] = None
    return msgspec.structs.replace(state, linked=list(known)[-_MOST_LINKS:]), links


def told(
    state: VisitorState, seen: list[Seen], *, everything: bool
) -> tuple[VisitorState, list[PersonLink]]:
    """Person links not written before, or not with so early a time; all again in a replay."""
    times_ms, links = dict(state.told), list[PersonLink]()
    for one in seen:
        identifiers = [i for i in event_identifiers(one.raw) if not i.startswith("click:")]
        for link in person_links(
            one.raw,
            identifiers,
            app_id=state.app_id,
            subject=state.subject.partition("|")[2],
            at_ms=one.event.timestamp_ms,
        ):
            name = mark(f"{link.kind} {link.identifier} {link.other}")
            known_ms = times_ms.get(name)
            if everything or known_ms is None or link.at_ms < known_ms:
                links.append(link)
            times_ms[name] = link.at_ms if known_ms is None else min(known_ms, link.at_ms)
    return msgspec.structs.replace(state, told=dict(list(times_ms.items())[-_MOST_LINKS:])), links
