"""Sources of clicks that get no credit."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE fraud_sources (
    app_id TEXT NOT NULL,
    source TEXT NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    reason TEXT NOT NULL,
    figures JSONB,
    unmarked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT fraud_sources_pkey PRIMARY KEY (app_id, source),
    CONSTRAINT fraud_sources_reason_check CHECK (reason IN ('flooding', 'injection'))
);
COMMENT ON COLUMN fraud_sources.source IS 'campaign_id/sub_publisher';
COMMENT ON COLUMN fraud_sources.unmarked_at IS
    'clicks since then are judged anew; NULL: marked';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(_TABLES)


def downgrade() -> None:
    """Drop it, marks included."""
    op.execute("DROP TABLE fraud_sources")
