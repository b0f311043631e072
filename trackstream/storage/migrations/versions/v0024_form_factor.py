"""What kind of device an event, and a session, is from; the raw data export's device category."""

from __future__ import annotations

from alembic import op

from trackstream.storage.migrations.versions import v0009_raw_data_export as export

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_SAID = "'phone, tablet, desktop, tv, console, watch, other'"
_COLUMNS = f"""
ALTER TABLE fact_events ADD form_factor TEXT;
COMMENT ON COLUMN fact_events.form_factor IS {_SAID};
ALTER TABLE fact_sessions ADD form_factor TEXT;
COMMENT ON COLUMN fact_sessions.form_factor IS {_SAID};
"""
_DROP = "DROP VIEW raw_data_export"
_BRAND = "    event.device_brand,\n"
_VIEW = export.VIEW.replace(_BRAND, f"    event.form_factor AS device_category,\n{_BRAND}")


def upgrade() -> None:
    """Add the columns; events and sessions that are there have none."""
    op.execute(_COLUMNS)
    op.execute(_DROP)
    op.execute(_VIEW)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute(_DROP)
    op.execute(export.VIEW)
    op.execute("ALTER TABLE fact_events DROP form_factor")
    op.execute("ALTER TABLE fact_sessions DROP form_factor")
