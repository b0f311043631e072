"""When sessions were written, from which their retention counts."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; sessions of before count as written now, so none goes too early."""
    op.execute(
        "ALTER TABLE fact_sessions ADD written_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now()"
    )
    op.execute("COMMENT ON COLUMN fact_sessions.written_at IS 'this revision; for retention'")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE fact_sessions DROP written_at")
