"""What it takes to send something rejected again, and whether that was done."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE rejected
    ADD origin TEXT,
    ADD key TEXT,
    ADD ip TEXT,
    ADD user_agent TEXT,
    ADD replayed_at TIMESTAMP WITH TIME ZONE,
    ADD replay_result TEXT;
COMMENT ON COLUMN rejected.origin IS 'a path of the collector''s, or a topic: to send it again';
COMMENT ON COLUMN rejected.key IS 'of the message, if origin is a topic';
COMMENT ON COLUMN rejected.replay_result IS 'accepted, partly, refused, or sent';
"""


def upgrade() -> None:
    """Add the columns."""
    op.execute(_COLUMNS)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute(
        "ALTER TABLE rejected DROP origin, DROP key, DROP ip, DROP user_agent, "
        "DROP replayed_at, DROP replay_result"
    )
