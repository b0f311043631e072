"""The autonomous system of an event's address."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE fact_events ADD asn BIGINT, ADD asn_organization TEXT;
COMMENT ON COLUMN fact_events.asn IS 'of the address''s autonomous system';
"""


def upgrade() -> None:
    """Add the columns; events that are there have none."""
    op.execute(_COLUMNS)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute("ALTER TABLE fact_events DROP asn, DROP asn_organization")
