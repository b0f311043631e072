"""Whom to tell of attributions, and the outbox of what is told."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE postback_destinations (
    destination_id TEXT NOT NULL,
    app_id TEXT NOT NULL,
    name TEXT NOT NULL,
    method TEXT NOT NULL,
    url TEXT NOT NULL,
    body TEXT,
    campaign_id TEXT,
    network TEXT,
    events TEXT[] NOT NULL,
    organic BOOLEAN NOT NULL,
    revisions TEXT NOT NULL,
    on_uncertain TEXT NOT NULL,
    max_concurrency INTEGER NOT NULL,
    sealed_secret BYTEA,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    disabled_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT postback_destinations_pkey PRIMARY KEY (destination_id),
    CONSTRAINT postback_destinations_app_id_fkey FOREIGN KEY(app_id) REFERENCES apps (app_id)
);
CREATE INDEX postback_destinations_app_id_idx ON postback_destinations (app_id);
COMMENT ON COLUMN postback_destinations.sealed_secret IS 'AES-256-GCM; none: not signed';

CREATE TABLE postbacks (
    destination_id TEXT NOT NULL,
    conversion_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    postback_id TEXT NOT NULL,
    app_id TEXT NOT NULL,
    person TEXT NOT NULL,
    event TEXT NOT NULL,
    method TEXT NOT NULL,
    url TEXT,
    body TEXT,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    queued_at TIMESTAMP WITH TIME ZONE NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reason TEXT,
    CONSTRAINT postbacks_pkey PRIMARY KEY (destination_id, conversion_id, revision),
    CONSTRAINT postbacks_state_check CHECK (state IN ('due', 'sending', 'sent', 'dead', 'unknown')),
    CONSTRAINT postbacks_url_check CHECK (url IS NOT NULL OR state = 'sent'),
    CONSTRAINT postbacks_destination_id_fkey FOREIGN KEY(destination_id)
        REFERENCES postback_destinations (destination_id),
    CONSTRAINT postbacks_postback_id_key UNIQUE (postback_id)
);
CREATE INDEX postbacks_app_id_person_idx ON postbacks (app_id, person);
CREATE INDEX postbacks_dead_idx ON postbacks (updated_at) WHERE state IN ('dead', 'unknown');
CREATE INDEX postbacks_due_idx ON postbacks (destination_id, due_at) WHERE state = 'due';
CREATE INDEX postbacks_sending_idx ON postbacks (lease_until) WHERE state = 'sending';
COMMENT ON COLUMN postbacks.person IS 'whose data the request holds';
COMMENT ON COLUMN postbacks.url IS 'NULL: delivered, not kept';
COMMENT ON COLUMN postbacks.attempt IS 'of all tries the last';
COMMENT ON COLUMN postbacks.tries IS 'since it was queued';
COMMENT ON COLUMN postbacks.lease_until IS 'of the sender, who is gone if this has passed';
"""


def upgrade() -> None:
    """Create the tables."""
    op.execute(_TABLES)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute("DROP TABLE postbacks, postback_destinations")
