"""Who is one person: identifiers that were seen together, users that were made one.

- Anonymous identifiers (devices, cookies, advertising ids) that were seen in one event belong
  together. They are the person of the *first* user that was named with any of them: whoever logs
  in on the same device later is somebody else.
- Two users are one person only when an `alias` says so.
- Of users that are one person, the person's key is a user whom no alias replaces, else any; of
  several the first in order of the alphabet. Without a user it is a device, else a cookie, else
  another identifier.

So who is whom is a function of the set of links: neither their order nor repetition matters, and
there are no cycles, whatever the aliases say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackstream.core.identifiers import usable_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.core.records import PersonLink, RawEvent

__all__ = ["ALIAS", "IDENTIFIED", "PREVIOUS", "TOGETHER", "people", "person_pairs"]

ALIAS, IDENTIFIED, TOGETHER = "alias", "identified", "together"

_USER = "user:"
_ORDER = ("user", "device", "cookie", "idfv", "idfa", "gaid")
PREVIOUS = ("previous_id", "previousId")
"""Properties of an `alias` that name the user whom it replaces; the first that names one."""


def person_pairs(
    raw: RawEvent, identifiers: Iterable[str], *, subject: str
) -> list[tuple[str, str, str]]:
    """What an event says of who is whom: kind, identifier, other, as in a `PersonLink`.

    Args:
        raw: The event.
        identifiers: Its own, without that of a click.
        subject: Its subject, without the app: what its other identifiers are linked to.
    """
    pairs: list[tuple[str, str, str]] = []
    for other in identifiers:
        if other == subject:
            continue
        if not other.startswith(_USER):
            pairs.append((TOGETHER, min(subject, other), max(subject, other)))
        elif not subject.startswith(_USER):
            pairs.append((IDENTIFIED, subject, other))
    previous = _previous(raw)
    if raw.event == "alias" and raw.user_id and previous and previous != raw.user_id:
        pairs.append((ALIAS, f"{_USER}{previous}", f"{_USER}{raw.user_id}"))
    return pairs


def people(links: Iterable[PersonLink]) -> dict[str, str]:
    """Each identifier's person, its own key among them. All links of one app."""
    held = list(links)
    users, anonymous = _Groups(), _Groups()
    replaced: set[str] = set()
    for link in held:
        if link.kind == ALIAS:
            users.join(link.identifier, link.other)
            replaced.add(link.identifier)
        elif link.kind == TOGETHER:
            anonymous.join(link.identifier, link.other)
        else:
            users.join(link.other, link.other)
            anonymous.join(link.identifier, link.identifier)
    person_of_user = {
        one: min(members, key=lambda user: (user in replaced, user))
        for members in users.members()
        for one in members
    }
    first: dict[str, tuple[int, str]] = {}
    for link in held:
        if link.kind == IDENTIFIED:
            group, named = anonymous.of(link.identifier), (link.at_ms, link.other)
            first[group] = min(first.get(group, named), named)
    found = dict(person_of_user)
    for members in anonymous.members():
        named_first = first.get(anonymous.of(members[0]))
        person = person_of_user[named_first[1]] if named_first else min(members, key=_rank)
        found.update(dict.fromkeys(members, person))
    return found


class _Groups:
    """Sets that are joined (union-find, with path halving)."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def of(self, one: str) -> str:
        """What stands for the set that this is in."""
        parents = self._parents
        while parents.setdefault(one, one) != one:
            parents[one] = parents[parents[one]]
            one = parents[one]
        return one

    def join(self, one: str, other: str) -> None:
        """Make their sets one."""
        self._parents[self.of(one)] = self.of(other)

    def members(self) -> list[list[str]]:
        """All sets."""
        held: dict[str, list[str]] = {}
        for one in list(self._parents):
            held.setdefault(self.of(one), []).append(one)
        return list(held.values())


def _rank(identifier: str) -> tuple[int, str]:
    kind = identifier.partition(":")[0]
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER), identifier


def _previous(raw: RawEvent) -> str | None:
    """The user whom an alias replaces, from its properties; a placeholder (`undefined`) is none."""
    if raw.event != "alias" or raw.properties == "{}":
        return None
    try:
        properties = msgspec.json.decode(raw.properties, type=dict[str, object])
    except msgspec.DecodeError:
        return None
    for name in PREVIOUS:
        value = properties.get(name)
        text = str(value) if type(value) is int else value
        if isinstance(text, str) and (user_id := usable_id(text)):
            return user_id
    return None
