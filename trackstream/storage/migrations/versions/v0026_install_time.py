"""`install_time` in raw data: of re-engagements, and of what inherits from them, too."""

from __future__ import annotations

from alembic import op

from trackstream.storage.migrations.versions.v0009_raw_data_export import view

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# As `core.postbacks.macros` has it: what is inherited is of an install, or there is one before it,
# of the same device (2), else of the same person (1).
INSTALL_TIME = """CASE
        WHEN source.kind = 'install' THEN source.converted_at
        ELSE timestamptz '1970-01-01 00:00:00Z' + installed.at_ms * interval '1 ms' END"""

INSTALLED = """
LEFT JOIN LATERAL (
    SELECT (one ->> 'at_ms')::bigint AS at_ms
    FROM jsonb_array_elements(revision.earlier) AS one
    CROSS JOIN LATERAL (
        SELECT max(CASE
            WHEN is_own AND shared ~ '^(device|gaid|idfa|idfv):' THEN 2
            WHEN (revision.conversion ->> 'web')::boolean
                THEN (is_own AND shared ~ '^cookie:')::integer
            ELSE (shared !~ '^(click|fp):')::integer END) AS nearness
        FROM (
            SELECT shared, revision.conversion -> 'identifiers' ? shared AS is_own
            FROM jsonb_array_elements_text(one -> 'identifiers') AS shared
        ) AS each
    ) AS known
    WHERE one ->> 'kind' = 'install' AND nearness > 0
    ORDER BY nearness DESC, (one ->> 'at_ms')::bigint DESC LIMIT 1
) AS installed ON mine.kind <> 'install'
"""


def upgrade() -> None:
    """Have the view tell it."""
    op.execute(view(INSTALL_TIME, INSTALLED))


def downgrade() -> None:
    """Have it tell only of installs and of what inherits from one."""
    op.execute(view())
