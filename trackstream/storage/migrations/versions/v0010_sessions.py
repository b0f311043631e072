"""Sessions with their length, bounces, names of conversions, and revenue in each currency."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE fact_sessions
    ADD client_session_id TEXT,
    ADD duration_ms BIGINT NOT NULL DEFAULT 0,
    ADD bounced BOOLEAN NOT NULL DEFAULT false,
    ADD conversion_names TEXT[] NOT NULL DEFAULT '{}',
    ADD revenues JSONB,
    ADD clock_error_ms BIGINT NOT NULL DEFAULT 0;
UPDATE fact_sessions SET
    duration_ms = (extract(epoch FROM ended_at - started_at) * 1000)::bigint,
    bounced = event_count = 1 AND conversions = 0,
    revenues = CASE WHEN revenue <> 0
        THEN jsonb_build_object(coalesce(currency, ''), revenue) END;
ALTER TABLE fact_sessions
    ALTER duration_ms DROP DEFAULT,
    ALTER bounced DROP DEFAULT,
    ALTER conversion_names DROP DEFAULT,
    ALTER clock_error_ms DROP DEFAULT;
COMMENT ON COLUMN fact_sessions.revenue IS 'NULL: in several currencies';
COMMENT ON COLUMN fact_sessions.revenues IS 'amounts by currency';
COMMENT ON COLUMN fact_sessions.clock_error_ms IS 'added to the device''s times';
"""

_VIEW = """
CREATE VIEW sessions AS SELECT * FROM fact_sessions WHERE status <> 'merged';
COMMENT ON VIEW sessions IS 'Without those that a late event joined to another';
"""


def upgrade() -> None:
    """Add the columns, filled in as far as the old ones say."""
    op.execute("DROP VIEW sessions")
    op.execute(_COLUMNS)
    op.execute(_VIEW)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute("DROP VIEW sessions")
    op.execute(
        "ALTER TABLE fact_sessions DROP client_session_id, DROP duration_ms, DROP bounced, "
        "DROP conversion_names, DROP revenues, DROP clock_error_ms"
    )
    op.execute(_VIEW)
