"""What kind of device an event, and a session, is from; the raw data export's device category."""

from __future__ import annotations

from alembic import op

from trackstream.storage.migrations.versions.v0009_raw_data_export import view
from trackstream.storage.migrations.versions.v0026_install_time import INSTALL_TIME, INSTALLED

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_SAID = "'phone, tablet, desktop, tv, console, watch, other'"
_COLUMNS = f"""
ALTER TABLE fact_events ADD form_factor TEXT;
COMMENT ON COLUMN fact_events.form_factor IS {_SAID};
ALTER TABLE fact_sessions ADD form_factor TEXT;
COMMENT ON COLUMN fact_sessions.form_factor IS {_SAID};
"""
_CATEGORY = ",\n    event.form_factor AS device_category"


def upgrade() -> None:
    """Add the columns; events and sessions that are there have none."""
    op.execute(_COLUMNS)
    op.execute(view(INSTALL_TIME, INSTALLED, _CATEGORY))


def downgrade() -> None:
    """Drop them, data included."""
    op.execute("DROP VIEW raw_data_export")
    op.execute(view(INSTALL_TIME, INSTALLED))
    op.execute("ALTER TABLE fact_events DROP form_factor")
    op.execute("ALTER TABLE fact_sessions DROP form_factor")
