"""When what is known of a person was so: each the newest that is known."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# So far each was taken to be of the last event. Not the newest, maybe, and never after it.
_COLUMNS = """
ALTER TABLE dim_users
    ADD user_id_at TIMESTAMP WITH TIME ZONE,
    ADD country_at TIMESTAMP WITH TIME ZONE,
    ADD os_name_at TIMESTAMP WITH TIME ZONE;
UPDATE dim_users SET
    user_id_at = CASE WHEN user_id IS NOT NULL THEN last_seen_at END,
    country_at = CASE WHEN country IS NOT NULL THEN last_seen_at END,
    os_name_at = CASE WHEN os_name IS NOT NULL THEN last_seen_at END;
"""


def upgrade() -> None:
    """Add the columns."""
    op.execute(_COLUMNS)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute("ALTER TABLE dim_users DROP user_id_at, DROP country_at, DROP os_name_at")
