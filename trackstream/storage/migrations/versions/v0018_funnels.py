"""The funnels of apps."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE funnels (
    app_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    version TEXT NOT NULL,
    toml TEXT NOT NULL,
    note TEXT,
    set_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT funnels_pkey PRIMARY KEY (app_id, seq),
    CONSTRAINT funnels_app_id_fkey FOREIGN KEY(app_id) REFERENCES apps (app_id)
);
COMMENT ON COLUMN funnels.seq IS 'the last one counts';
COMMENT ON COLUMN funnels.version IS 'made from the content';
COMMENT ON COLUMN funnels.toml IS 'as it was given';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(_TABLE)


def downgrade() -> None:
    """Drop it, with the funnels."""
    op.execute("DROP TABLE funnels")
