"""Funnels count live from a moment on, of which workers learn as they do of rules."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_CHANGES = """
ALTER TABLE funnels ADD COLUMN effective_at TIMESTAMP WITH TIME ZONE;
UPDATE funnels SET effective_at = set_at + INTERVAL '5 seconds';
ALTER TABLE funnels ALTER COLUMN effective_at SET NOT NULL;
COMMENT ON COLUMN funnels.effective_at IS 'later, so that all workers know of it by then';
CREATE TRIGGER funnels_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON funnels
    FOR EACH STATEMENT EXECUTE FUNCTION directory_changed();
"""


def upgrade() -> None:
    """Add the moment and the trigger."""
    op.execute(_CHANGES)


def downgrade() -> None:
    """Drop both."""
    op.execute("DROP TRIGGER funnels_changed ON funnels")
    op.execute("ALTER TABLE funnels DROP COLUMN effective_at")
