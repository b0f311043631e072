"""What it takes to decide a conversion again: its own facts, and those that came before it."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; decisions that were written before have nothing in them."""
    op.execute("ALTER TABLE attribution_revisions ADD conversion JSONB, ADD earlier JSONB")


def downgrade() -> None:
    """Drop them, data included."""
    op.execute("ALTER TABLE attribution_revisions DROP conversion, DROP earlier")
