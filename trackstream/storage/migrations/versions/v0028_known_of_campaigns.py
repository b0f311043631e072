"""When what is known of a campaign was so: each the newest that is known."""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

# So far each was what came last. Not the newest, maybe, and never after the campaign's last moment.
_COLUMNS = """
ALTER TABLE dim_campaigns
    ADD channel_at TIMESTAMP WITH TIME ZONE,
    ADD network_at TIMESTAMP WITH TIME ZONE,
    ADD utm_source_at TIMESTAMP WITH TIME ZONE,
    ADD utm_medium_at TIMESTAMP WITH TIME ZONE;
UPDATE dim_campaigns SET
    channel_at = CASE WHEN channel IS NOT NULL THEN last_seen_at END,
    network_at = CASE WHEN network IS NOT NULL THEN last_seen_at END,
    utm_source_at = CASE WHEN utm_source IS NOT NULL THEN last_seen_at END,
    utm_medium_at = CASE WHEN utm_medium IS NOT NULL THEN last_seen_at END;
"""


def upgrade() -> None:
    """Add the columns."""
    op.execute(_COLUMNS)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute(
        "ALTER TABLE dim_campaigns DROP channel_at, DROP network_at, DROP utm_source_at, "
        "DROP utm_medium_at"
    )
