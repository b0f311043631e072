"""Who is whom, worked out again around the links of a transaction.

Links arrive in any order, and a new one may change the person of identifiers that it does not name.
Only what can be reached from it is worked out, by `core.persons`; the result is that of all links.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from trackstream.core.persons import ALIAS, IDENTIFIED, TOGETHER, people
from trackstream.core.records import PersonLink

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FOLLOW_EVENTS", "LOCK", "LOCK_SHARED", "settle"]

_LOCK_KEY = 0x7472_6163_6B03
LOCK = f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"
"""Before links are written: one writer at a time, for what follows depends on all links."""
LOCK_SHARED = f"SELECT pg_advisory_xact_lock_shared({_LOCK_KEY})"
"""Before people are written: so that none appears between a change of the map and its end."""

_MOST_MEMBERS = 10_000
"""Identifiers that are followed at once; a person with more is a mistake of somebody's."""

_FOLLOW = """
UPDATE dim_users AS mine SET merged_into = nullif(map.person, map.identifier)
FROM user_id_map AS map
WHERE map.app_id = mine.app_id AND map.identifier = mine.person
    AND mine.merged_into IS DISTINCT FROM nullif(map.person, map.identifier)
"""
_OF_THE_EVENTS = "(mine.app_id, mine.person) IN (SELECT app_id, person FROM stage_fact_events)"
FOLLOW_EVENTS = f"{_FOLLOW} AND {_OF_THE_EVENTS}"
"""Have the people of a transaction's events be who the map says."""
_FOLLOW_CHANGES = _FOLLOW + "AND mine.app_id = %s AND mine.person = ANY(%s)"


def settle(cursor: Any) -> int:
    """Bring `user_id_map` and `dim_users` up to the links staged; how many identifiers changed.

    The links have been written to `person_links`, in this transaction, under `LOCK`.
    """
    cursor.execute("SELECT app_id, kind, identifier, other, at FROM stage_person_links")
    staged: defaultdict[str, list[PersonLink]] = defaultdict(list)
    for app_id, kind, identifier, other, at_ms in cursor.fetchall():
        staged[app_id].append(
            PersonLink(app_id=app_id, kind=kind, identifier=identifier, other=other, at_ms=at_ms)
        )
    changed = 0
    for app_id in sorted(staged):
        identifiers = _remap(cursor, app_id, people(_around(cursor, app_id, staged[app_id])))
        cursor.execute(_FOLLOW_CHANGES, (app_id, identifiers))
        changed += len(identifiers)
    return changed


def _around(cursor: Any, app_id: str, staged: list[PersonLink]) -> list[PersonLink]:
    """All links that say who those in the staged ones are."""
    anonymous = {one.identifier for one in staged if one.kind != ALIAS}
    anonymous |= {one.other for one in staged if one.kind == TOGETHER}
    together, reached = _reach(cursor, app_id, TOGETHER, anonymous)
    cursor.execute(  # only the first user counts, and a device may have seen many
        "SELECT DISTINCT ON (identifier) "
        "identifier, other, (extract(epoch FROM at) * 1000)::bigint FROM person_links "
        "WHERE app_id = %s AND kind = %s AND identifier = ANY(%s) ORDER BY identifier, at, other",
        (app_id, IDENTIFIED, list(reached)),
    )
    identified = cursor.fetchall()
    users = {one.other for one in staged if one.kind != TOGETHER}
    users |= {one.identifier for one in staged if one.kind == ALIAS}
    users |= {other for _, other, _ in identified}
    aliases, _ = _reach(cursor, app_id, ALIAS, users)
    return staged + [
        PersonLink(app_id=app_id, kind=kind, identifier=one, other=other, at_ms=at_ms)
        for kind, found in ((TOGETHER, together), (IDENTIFIED, identified), (ALIAS, aliases))
        for one, other, at_ms in found
    ]


def _reach(
    cursor: Any, app_id: str, kind: str, begin: Iterable[str]
) -> tuple[set[tuple[str, str, int]], set[str]]:
    """The links of a kind that can be reached, and their ends."""
    links: set[tuple[str, str, int]] = set()
    seen = set(begin)
    edge = seen
    while edge and len(seen) < _MOST_MEMBERS:
        cursor.execute(
            "SELECT identifier, other, 0 FROM person_links "
            "WHERE app_id = %(app)s AND kind = %(kind)s AND identifier = ANY(%(edge)s) "
            "UNION SELECT identifier, other, 0 FROM person_links "
            "WHERE app_id = %(app)s AND kind = %(kind)s AND other = ANY(%(edge)s)",
            {"app": app_id, "kind": kind, "edge": list(edge)},
        )
        found = set(cursor.fetchall())
        links |= found
        edge = {end for one, other, _ in found for end in (one, other)} - seen
        seen |= edge
    return links, seen


def _remap(cursor: Any, app_id: str, found: dict[str, str]) -> list[str]:
    """Write who is whom; the identifiers for which that is news."""
    identifiers, persons = list(found), list(found.values())
    cursor.execute(
        "INSERT INTO user_id_map AS map (app_id, identifier, person, updated_at) "
        "SELECT %s, identifier, person, now() "
        "FROM unnest(%s::text[], %s::text[]) AS new (identifier, person) "
        "ON CONFLICT (app_id, identifier) "
        "DO UPDATE SET person = excluded.person, updated_at = excluded.updated_at "
        "WHERE map.person <> excluded.person RETURNING identifier",
        (app_id, identifiers, persons),
    )
    changed = [identifier for (identifier,) in cursor.fetchall()]
    # Those who are not around here, but were one of these users.
    cursor.execute(
        "UPDATE user_id_map AS map SET person = new.person, updated_at = now() "
        "FROM unnest(%s::text[], %s::text[]) AS new (identifier, person) "
        "WHERE map.app_id = %s AND map.person = new.identifier AND map.person <> new.person "
        "RETURNING map.identifier",
        (identifiers, persons, app_id),
    )
    return changed + [identifier for (identifier,) in cursor.fetchall()]
