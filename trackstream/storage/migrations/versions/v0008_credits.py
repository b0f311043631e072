"""What multi-touch models give to each touch of a conversion; which reinstalls were won anew."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE attribution_credits (
    app_id TEXT NOT NULL,
    conversion_id TEXT NOT NULL,
    model TEXT NOT NULL,
    touch_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    converted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    campaign_id TEXT,
    channel TEXT,
    share_millionths INTEGER NOT NULL,
    revenue NUMERIC(20, 6),
    currency TEXT,
    CONSTRAINT attribution_credits_pkey PRIMARY KEY (app_id, conversion_id, model, touch_id)
);
CREATE INDEX attribution_credits_app_id_model_converted_at_idx
    ON attribution_credits (app_id, model, converted_at);
COMMENT ON COLUMN attribution_credits.revision IS 'that of attributions';
COMMENT ON COLUMN attribution_credits.share_millionths IS '1,000,000 in all for each model';

ALTER TABLE attributions ADD reattribution BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE attribution_revisions ADD reattribution BOOLEAN NOT NULL DEFAULT false;
"""


def upgrade() -> None:
    """Create the table and the columns."""
    op.execute(_TABLES)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute("DROP TABLE attribution_credits")
    op.execute("ALTER TABLE attributions DROP reattribution")
    op.execute("ALTER TABLE attribution_revisions DROP reattribution")
