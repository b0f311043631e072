"""Apps, keys and links, and the version that triggers count up when one changes."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE apps (
    app_id TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT apps_pkey PRIMARY KEY (app_id)
);

CREATE TABLE api_keys (
    key_id TEXT NOT NULL,
    app_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    sealed_secret BYTEA,
    origins TEXT[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT api_keys_pkey PRIMARY KEY (key_id),
    CONSTRAINT api_keys_kind_check CHECK (kind IN ('server', 'write')),
    CONSTRAINT api_keys_secret_check CHECK ((kind = 'server') = (sealed_secret IS NOT NULL)),
    CONSTRAINT api_keys_app_id_fkey FOREIGN KEY(app_id) REFERENCES apps (app_id)
);
CREATE INDEX api_keys_app_id_idx ON api_keys (app_id);
COMMENT ON COLUMN api_keys.sealed_secret IS 'AES-256-GCM; none for write keys';

CREATE TABLE links (
    link_id TEXT NOT NULL,
    slug TEXT NOT NULL,
    app_id TEXT NOT NULL,
    campaign_id TEXT NOT NULL,
    campaign TEXT,
    channel TEXT,
    network TEXT,
    ad_group TEXT,
    web_url TEXT NOT NULL,
    android_url TEXT,
    ios_url TEXT,
    deep_link TEXT,
    expires_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT links_pkey PRIMARY KEY (link_id),
    CONSTRAINT links_slug_key UNIQUE (slug),
    CONSTRAINT links_app_id_fkey FOREIGN KEY(app_id) REFERENCES apps (app_id)
);
CREATE INDEX links_app_id_idx ON links (app_id);
CREATE INDEX links_campaign_id_idx ON links (campaign_id);

CREATE TABLE directory_version (
    singleton BIGINT NOT NULL,
    version BIGINT NOT NULL,
    CONSTRAINT directory_version_pkey PRIMARY KEY (singleton),
    CONSTRAINT directory_version_singleton_check CHECK (singleton = 1)
);
"""

_TRIGGERS = """
INSERT INTO directory_version (singleton, version) VALUES (1, 1);

CREATE FUNCTION directory_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE directory_version SET version = version + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER apps_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON apps
    FOR EACH STATEMENT EXECUTE FUNCTION directory_changed();
CREATE TRIGGER api_keys_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION directory_changed();
CREATE TRIGGER links_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON links
    FOR EACH STATEMENT EXECUTE FUNCTION directory_changed();
"""


def upgrade() -> None:
    """Create the tables and the triggers."""
    op.execute(_TABLES)
    op.execute(_TRIGGERS)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute("DROP TABLE api_keys, links, apps, directory_version")
    op.execute("DROP FUNCTION directory_changed")
