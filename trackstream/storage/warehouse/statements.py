"""What a batch does to the tables: an INSERT each, harmless when it is repeated."""

from __future__ import annotations

from trackstream.storage import schema
from trackstream.storage.warehouse import rows
from trackstream.storage.warehouse.staging import Staged, moment

__all__ = ["AFTER", "DIMENSIONS", "INSERTS", "STAGED"]

_EVENTS = Staged(schema.fact_events, rows.EVENT_COLUMNS)
_SESSIONS = Staged(schema.fact_sessions, rows.SESSION_COLUMNS)
_ATTRIBUTIONS = Staged(schema.attributions, rows.ATTRIBUTION_COLUMNS)
_CREDITS = Staged(schema.attribution_credits, rows.CREDIT_COLUMNS)
_REVISIONS = Staged(schema.attribution_revisions, rows.REVISION_COLUMNS)
_PERSON_LINKS = Staged(schema.person_links, rows.PERSON_LINK_COLUMNS)
_REJECTED = Staged(schema.rejected, rows.REJECTED_COLUMNS)

STAGED: dict[str, Staged] = {
    one.table.name: one
    for one in (_EVENTS, _SESSIONS, _ATTRIBUTIONS, _CREDITS, _REVISIONS, _PERSON_LINKS, _REJECTED)
}


def _insert(staged: Staged) -> str:
    return (
        f"INSERT INTO {staged.table.name} ({staged.columns}) "  # noqa: S608 - names of our schema
        f"SELECT {staged.values} FROM {staged.name} ON CONFLICT"
    )


def _once(staged: Staged) -> str:
    return f"{_insert(staged)} DO NOTHING"


def _newest(staged: Staged) -> str:
    table = staged.table
    keys = [column.name for column in table.primary_key]
    changed = ", ".join(
        f"{column.name} = excluded.{column.name}"
        for column in table.columns
        if column.name not in keys
    )
    return (
        f"{_insert(staged)} ({', '.join(keys)}) DO UPDATE SET {changed} "
        f"WHERE {table.name}.revision < excluded.revision"
    )


def _earliest(staged: Staged) -> str:
    table = staged.table
    keys = ", ".join(column.name for column in table.primary_key)
    return (
        f"{_insert(staged)} ({keys}) DO UPDATE SET at = excluded.at "
        f"WHERE {table.name}.at > excluded.at"
    )


def _current(staged: Staged) -> str:
    """Only rows of the revision that counts, which may be a later one than this batch's."""
    name = staged.name
    return (
        f"INSERT INTO {staged.table.name} ({staged.columns}) "  # noqa: S608 - names of our schema
        f"SELECT {staged.values} FROM {name} WHERE EXISTS ("
        f"SELECT 1 FROM attributions AS now WHERE now.app_id = {name}.app_id "
        f"AND now.conversion_id = {name}.conversion_id AND now.revision = {name}.revision"
        ") ON CONFLICT DO NOTHING"
    )


INSERTS: dict[str, str] = {
    "fact_events": _once(_EVENTS),
    "fact_sessions": _newest(_SESSIONS),
    "attributions": _newest(_ATTRIBUTIONS),
    "attribution_credits": _current(_CREDITS),
    "attribution_revisions": _once(_REVISIONS),
    "person_links": _earliest(_PERSON_LINKS),
    "rejected": _once(_REJECTED),
}
"""By table, from its temporary table. At most one row a key where the newest revision is kept."""

AFTER: dict[str, str] = {
    # Both ways: for what is merged now, and for what was merged into it before. In a ring, which no
    # worker makes, there is no survivor, and nothing is changed.
    "fact_sessions": """
WITH RECURSIVE mine AS (
    SELECT app_id, session_id FROM stage_fact_sessions WHERE merged_into IS NOT NULL
), ways AS (
    SELECT one.app_id, one.session_id, one.merged_into AS comes_to
    FROM mine JOIN fact_sessions AS one ON one.app_id = mine.app_id
        AND one.session_id = mine.session_id AND one.merged_into IS NOT NULL
    UNION SELECT one.app_id, one.session_id, one.merged_into
    FROM mine JOIN fact_sessions AS one ON one.app_id = mine.app_id
        AND one.merged_into = mine.session_id
    UNION SELECT way.app_id, way.session_id, next.merged_into
    FROM ways AS way JOIN fact_sessions AS next ON next.app_id = way.app_id
        AND next.session_id = way.comes_to AND next.merged_into IS NOT NULL
)
UPDATE fact_sessions AS one SET merged_into = way.comes_to
FROM ways AS way
WHERE way.app_id = one.app_id AND way.session_id = one.session_id
    AND one.merged_into <> way.comes_to
    AND NOT EXISTS (
        SELECT 1 FROM fact_sessions AS next WHERE next.app_id = way.app_id
        AND next.session_id = way.comes_to AND next.merged_into IS NOT NULL
    )
""",
    "attributions": """
DELETE FROM attribution_credits AS old USING attributions AS now, stage_attributions AS mine
WHERE mine.app_id = now.app_id AND mine.conversion_id = now.conversion_id
    AND old.app_id = now.app_id AND old.conversion_id = now.conversion_id
    AND old.revision < now.revision
""",
}
"""What a table's new rows do besides.

A session that was merged into one that was itself merged is said to be in the one that is left, so
that readers follow one step; credits of earlier revisions go.
"""


class _Known:
    """Columns of a dimension that say the newest of what was said, each with its moment.

    Each by itself: who says nothing of a column takes nothing away. At one moment the greater text
    counts. So no order of arrival makes a difference, nor what comes in one transaction.

    Attributes:
        columns: All of them, as in an INSERT.
        values: The newest of a group, over a column for each and one with milliseconds.
        changes: What of them a conflicting row changes.
        newer: Whether it changes any.
    """

    def __init__(self, table: str, names: tuple[str, ...], *, at: str) -> None:
        newer = {
            name: f"(excluded.{name}_at, excluded.{name}) > "
            f"(coalesce({table}.{name}_at, '-infinity'), coalesce({table}.{name}, ''))"
            for name in names
        }
        self.columns = ", ".join(f"{name}, {name}_at" for name in names)
        self.values = ", ".join(
            f"(array_agg({name} ORDER BY {at} DESC, {name} DESC) FILTER (WHERE {name} IS NOT NULL))"
            f"[1], {moment(f'max({at}) FILTER (WHERE {name} IS NOT NULL)')}"
            for name in names
        )
        self.changes = ", ".join(
            f"{name} = CASE WHEN {newer[name]} THEN excluded.{name} ELSE {table}.{name} END, "
            f"{name}_at = GREATEST({table}.{name}_at, excluded.{name}_at)"
            for name in names
        )
        self.newer = " OR ".join(newer.values())


_OF_USERS = _Known("dim_users", ("user_id", "country", "os_name"), at="event_at")
_USERS = f"""
INSERT INTO dim_users (app_id, person, first_seen_at, last_seen_at, {_OF_USERS.columns})
SELECT app_id, person, {moment("min(event_at)")}, {moment("max(event_at)")}, {_OF_USERS.values}
FROM stage_fact_events GROUP BY app_id, person ORDER BY app_id, person
ON CONFLICT (app_id, person) DO UPDATE SET
    first_seen_at = LEAST(dim_users.first_seen_at, excluded.first_seen_at),
    last_seen_at = GREATEST(dim_users.last_seen_at, excluded.last_seen_at),
    {_OF_USERS.changes}
WHERE excluded.first_seen_at < dim_users.first_seen_at
    OR excluded.last_seen_at > dim_users.last_seen_at
    OR {_OF_USERS.newer}
"""  # noqa: S608 - names of our schema

_OF_CAMPAIGNS = _Known("dim_campaigns", ("channel", "network", "utm_source", "utm_medium"), at="at")
# In one order for all writers, so that two of them cannot wait for each other.
_CAMPAIGNS = f"""
INSERT INTO dim_campaigns (app_id, campaign, first_seen_at, last_seen_at, {_OF_CAMPAIGNS.columns})
SELECT app_id, campaign, {moment("min(at)")}, {moment("max(at)")}, {_OF_CAMPAIGNS.values}
FROM (
    SELECT app_id, coalesce(campaign_id, utm_campaign) AS campaign, channel,
        NULL AS network, utm_source, utm_medium, event_at AS at
    FROM stage_fact_events
    UNION ALL
    SELECT app_id, campaign_id, channel, network, NULL, NULL, touched_at FROM stage_attributions
) AS seen
WHERE campaign IS NOT NULL
GROUP BY app_id, campaign ORDER BY app_id, campaign
ON CONFLICT (app_id, campaign) DO UPDATE SET
    first_seen_at = LEAST(dim_campaigns.first_seen_at, excluded.first_seen_at),
    last_seen_at = GREATEST(dim_campaigns.last_seen_at, excluded.last_seen_at),
    {_OF_CAMPAIGNS.changes}
WHERE excluded.first_seen_at < dim_campaigns.first_seen_at
    OR excluded.last_seen_at > dim_campaigns.last_seen_at
    OR {_OF_CAMPAIGNS.newer}
"""  # noqa: S608 - names of our schema

DIMENSIONS: dict[str, str] = {"dim_users": _USERS, "dim_campaigns": _CAMPAIGNS}
"""Run last in the transaction: campaigns are rows that all writers share."""
