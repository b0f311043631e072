"""What models fitted to paths have given."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE model_results (
    result_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    app_id TEXT NOT NULL,
    model TEXT NOT NULL,
    parameters JSONB,
    source TEXT NOT NULL,
    first_day DATE,
    last_day DATE,
    event TEXT,
    fitted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    share DOUBLE PRECISION NOT NULL,
    conversions NUMERIC(20, 6) NOT NULL,
    value NUMERIC(20, 6),
    currency TEXT,
    effect DOUBLE PRECISION,
    standard_error DOUBLE PRECISION,
    total_nulls BIGINT NOT NULL,
    CONSTRAINT model_results_pkey PRIMARY KEY (result_id, channel)
);
CREATE INDEX model_results_app_id_fitted_at_idx ON model_results (app_id, fitted_at);
COMMENT ON COLUMN model_results.source IS 'stored, or the name of a path file';
COMMENT ON COLUMN model_results.first_day IS 'of the conversions, in UTC';
COMMENT ON COLUMN model_results.last_day IS 'included';
COMMENT ON COLUMN model_results.effect IS 'removal effect, or Shapley value in conversions';
COMMENT ON COLUMN model_results.total_nulls IS 'journeys without a conversion';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(_TABLES)


def downgrade() -> None:
    """Drop it, with what was kept."""
    op.execute("DROP TABLE model_results")
