"""A session that was merged leads to the one that has its events, in one step."""

from __future__ import annotations

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_INDEX = """
CREATE INDEX fact_sessions_app_id_merged_into_idx ON fact_sessions (app_id, merged_into)
    WHERE merged_into IS NOT NULL;
COMMENT ON COLUMN fact_sessions.merged_into IS
    'the session that has its events; never itself merged';
"""

# So far each led to the one into which it was merged, which may have been merged later.
_SHORTEN = """
WITH RECURSIVE ways AS (
    SELECT app_id, session_id, merged_into AS comes_to FROM fact_sessions
    WHERE merged_into IS NOT NULL
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
"""


def upgrade() -> None:
    """Add the index, and shorten what is there."""
    op.execute(_INDEX)
    op.execute(_SHORTEN)


def downgrade() -> None:
    """Drop the index; what was shortened stays so."""
    op.execute("DROP INDEX fact_sessions_app_id_merged_into_idx")
    op.execute("COMMENT ON COLUMN fact_sessions.merged_into IS NULL")
