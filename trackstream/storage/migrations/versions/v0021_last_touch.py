"""By which touch an event's subject came last."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE fact_events ADD touch_id TEXT, ADD touch_kind TEXT,
    ADD touched_at TIMESTAMP WITH TIME ZONE, ADD touch_campaign_id TEXT, ADD touch_channel TEXT,
    ADD touch_network TEXT, ADD touch_method TEXT;
COMMENT ON COLUMN fact_events.touch_id IS 'by which its subject came last';
COMMENT ON COLUMN fact_events.touch_kind IS 'click or impression';
COMMENT ON COLUMN fact_events.touch_method IS 'of a conversion that was attributed to it';
"""


def upgrade() -> None:
    """Add the columns; events that are there have none."""
    op.execute(_COLUMNS)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute(
        "ALTER TABLE fact_events DROP touch_id, DROP touch_kind, DROP touched_at, "
        "DROP touch_campaign_id, DROP touch_channel, DROP touch_network, DROP touch_method"
    )
