"""Who is one person: links, the map that follows from them, and `dim_users` by it."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE person_links (
    app_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    identifier TEXT NOT NULL,
    other TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT person_links_pkey PRIMARY KEY (app_id, kind, identifier, other)
);
CREATE INDEX person_links_app_id_kind_other_idx ON person_links (app_id, kind, other);

CREATE TABLE user_id_map (
    app_id TEXT NOT NULL,
    identifier TEXT NOT NULL,
    person TEXT NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT user_id_map_pkey PRIMARY KEY (app_id, identifier)
);
CREATE INDEX user_id_map_app_id_person_idx ON user_id_map (app_id, person);

ALTER TABLE dim_users ADD merged_into TEXT;
COMMENT ON COLUMN dim_users.merged_into IS 'the person that this key has turned out to be';
"""

_VIEW = """
CREATE VIEW users AS
SELECT app_id, coalesce(merged_into, person) AS person,
    min(first_seen_at) AS first_seen_at, max(last_seen_at) AS last_seen_at,
    (array_agg(user_id ORDER BY merged_into IS NOT NULL, last_seen_at DESC)
        FILTER (WHERE user_id IS NOT NULL))[1] AS user_id,
    (array_agg(country ORDER BY last_seen_at DESC) FILTER (WHERE country IS NOT NULL))[1]
        AS country,
    (array_agg(os_name ORDER BY last_seen_at DESC) FILTER (WHERE os_name IS NOT NULL))[1]
        AS os_name,
    array_agg(person ORDER BY first_seen_at, person) AS keys
FROM dim_users GROUP BY 1, 2;
COMMENT ON VIEW users IS 'A row for each person, whatever keys it was seen under';
"""


def upgrade() -> None:
    """Create the tables, the column and the view."""
    op.execute(_TABLES)
    op.execute(_VIEW)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute("DROP VIEW users")
    op.execute("ALTER TABLE dim_users DROP merged_into")
    op.execute("DROP TABLE person_links, user_id_map")
