"""What of a link's own a click may name otherwise."""

from __future__ import annotations

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# So far each click could name an ad group of its own; links that register none are as they were.
_COLUMN = """
ALTER TABLE links ADD overridable TEXT[] NOT NULL DEFAULT '{}';
ALTER TABLE links
    ALTER overridable DROP DEFAULT,
    ADD CONSTRAINT links_overridable_check
        CHECK (overridable <@ ARRAY['channel', 'network', 'ad_group']);
COMMENT ON COLUMN links.overridable IS 'what a click may name otherwise';
"""


def upgrade() -> None:
    """Add the column: what a link registers stands."""
    op.execute(_COLUMN)


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE links DROP overridable")
