"""Destinations that are told of the touches that a fraud rule has rejected."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_COLUMN = """
ALTER TABLE postback_destinations ADD rejected BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE postback_destinations ALTER rejected DROP DEFAULT;
COMMENT ON COLUMN postback_destinations.rejected IS 'told of rejected touches, nothing else';
"""


def upgrade() -> None:
    """Add the column: those that there are are told what they were."""
    op.execute(_COLUMN)


def downgrade() -> None:
    """Drop it; who was told of rejections alone is told nothing more, rather than all else."""
    op.execute(
        "UPDATE postback_destinations SET disabled_at = now() "
        "WHERE rejected AND disabled_at IS NULL"
    )
    op.execute("ALTER TABLE postback_destinations DROP rejected")
