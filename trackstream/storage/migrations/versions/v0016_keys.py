"""What keys are for, and a second secret while one follows another."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE api_keys
    ADD scopes TEXT[] NOT NULL DEFAULT '{ingest}',
    ADD previous_sealed_secret BYTEA,
    ADD previous_until TIMESTAMP WITH TIME ZONE,
    ADD rotated_at TIMESTAMP WITH TIME ZONE;
UPDATE api_keys SET scopes = '{ingest,read}' WHERE kind = 'server';
ALTER TABLE api_keys
    ALTER scopes DROP DEFAULT,
    ADD CONSTRAINT api_keys_scopes_check
        CHECK (scopes <@ ARRAY['ingest', 'read', 'admin', 'erase']),
    ADD CONSTRAINT api_keys_write_check CHECK (kind = 'server' OR scopes <@ ARRAY['ingest']),
    ADD CONSTRAINT api_keys_previous_check
        CHECK (kind = 'server' OR previous_sealed_secret IS NULL);
COMMENT ON COLUMN api_keys.previous_sealed_secret IS 'signs, too, until it is retired';
"""


def upgrade() -> None:
    """Add the columns; what keys could do so far they still can."""
    op.execute(_COLUMNS)


def downgrade() -> None:
    """Drop them: secrets from before a rotation are of no use any more."""
    op.execute(
        "ALTER TABLE api_keys DROP scopes, DROP previous_sealed_secret, DROP previous_until, "
        "DROP rotated_at"
    )
