"""The events that an app defines."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE apps ADD events_toml TEXT, ADD events_set_at TIMESTAMP WITH TIME ZONE;
COMMENT ON COLUMN apps.events_toml IS 'its events, as they were defined; NULL: none were';
"""


def upgrade() -> None:
    """Add the columns; apps that are there define none."""
    op.execute(_COLUMNS)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute("ALTER TABLE apps DROP events_toml, DROP events_set_at")
