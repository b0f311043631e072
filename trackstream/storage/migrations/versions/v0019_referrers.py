"""What kind of place an event's visitor came from."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE fact_events ADD referrer_type TEXT, ADD referrer_name TEXT;
COMMENT ON COLUMN fact_events.referrer_type IS 'search, social, email, paid, direct, …';
COMMENT ON COLUMN fact_events.referrer_name IS 'a service''s, else a host''s';
"""


def upgrade() -> None:
    """Add the columns; events that are there have none."""
    op.execute(_COLUMNS)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute("ALTER TABLE fact_events DROP referrer_type, DROP referrer_name")
