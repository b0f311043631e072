"""The rules of apps: all versions, and which counted from when on."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE rules (
    app_id TEXT NOT NULL,
    version TEXT NOT NULL,
    toml TEXT NOT NULL,
    content JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT rules_pkey PRIMARY KEY (app_id, version),
    CONSTRAINT rules_app_id_fkey FOREIGN KEY(app_id) REFERENCES apps (app_id)
);
COMMENT ON COLUMN rules.version IS 'made from the content, named in decisions';
COMMENT ON COLUMN rules.toml IS 'as it was given';
COMMENT ON COLUMN rules.content IS 'every rule, with the defaults of that day';

CREATE TABLE rules_activations (
    app_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    version TEXT NOT NULL,
    note TEXT,
    activated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    effective_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT rules_activations_pkey PRIMARY KEY (app_id, seq),
    CONSTRAINT rules_activations_app_id_fkey FOREIGN KEY(app_id, version)
        REFERENCES rules (app_id, version)
);
COMMENT ON COLUMN rules_activations.effective_at
    IS 'later, so that all workers know of it by then';

CREATE TRIGGER rules_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON rules
    FOR EACH STATEMENT EXECUTE FUNCTION directory_changed();
CREATE TRIGGER rules_activations_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON rules_activations
    FOR EACH STATEMENT EXECUTE FUNCTION directory_changed();
"""


def upgrade() -> None:
    """Create the tables and the triggers."""
    op.execute(_TABLES)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute("DROP TABLE rules_activations, rules")
