"""What the warehouse writes, and the view of the sessions that count."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE attribution_revisions (
    app_id TEXT NOT NULL,
    conversion_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    person TEXT NOT NULL,
    subject TEXT NOT NULL,
    kind TEXT NOT NULL,
    event TEXT NOT NULL,
    event_id TEXT NOT NULL,
    converted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE NOT NULL,
    method TEXT NOT NULL,
    confidence DOUBLE PRECISION NOT NULL,
    touch_id TEXT,
    touch_kind TEXT,
    touched_at TIMESTAMP WITH TIME ZONE,
    click_id TEXT,
    link_id TEXT,
    campaign_id TEXT,
    channel TEXT,
    network TEXT,
    ad_group TEXT,
    creative TEXT,
    keyword TEXT,
    sub_publisher TEXT,
    cost NUMERIC(20, 6),
    cost_currency TEXT,
    identifier TEXT,
    window_ms BIGINT,
    inherited_from TEXT,
    rules_version TEXT NOT NULL,
    country TEXT,
    revenue NUMERIC(20, 6),
    currency TEXT,
    touch JSONB,
    candidates JSONB,
    unanswered TEXT[] NOT NULL,
    previous_method TEXT,
    previous_touch_id TEXT,
    CONSTRAINT attribution_revisions_pkey PRIMARY KEY (app_id, conversion_id, revision)
);
CREATE INDEX attribution_revisions_conversion_id_idx ON attribution_revisions (conversion_id);
CREATE INDEX attribution_revisions_event_id_idx ON attribution_revisions (event_id);

CREATE TABLE attributions (
    app_id TEXT NOT NULL,
    conversion_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    person TEXT NOT NULL,
    subject TEXT NOT NULL,
    kind TEXT NOT NULL,
    event TEXT NOT NULL,
    event_id TEXT NOT NULL,
    converted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE NOT NULL,
    method TEXT NOT NULL,
    confidence DOUBLE PRECISION NOT NULL,
    touch_id TEXT,
    touch_kind TEXT,
    touched_at TIMESTAMP WITH TIME ZONE,
    click_id TEXT,
    link_id TEXT,
    campaign_id TEXT,
    channel TEXT,
    network TEXT,
    ad_group TEXT,
    creative TEXT,
    keyword TEXT,
    sub_publisher TEXT,
    cost NUMERIC(20, 6),
    cost_currency TEXT,
    identifier TEXT,
    window_ms BIGINT,
    inherited_from TEXT,
    rules_version TEXT NOT NULL,
    country TEXT,
    revenue NUMERIC(20, 6),
    currency TEXT,
    CONSTRAINT attributions_pkey PRIMARY KEY (app_id, conversion_id)
);
CREATE INDEX attributions_app_id_campaign_id_converted_at_idx
    ON attributions (app_id, campaign_id, converted_at);
CREATE INDEX attributions_app_id_converted_at_idx ON attributions (app_id, converted_at);
CREATE INDEX attributions_app_id_event_id_idx ON attributions (app_id, event_id);

CREATE TABLE consumer_offsets (
    consumer_group TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset BIGINT,
    epoch BIGINT NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT consumer_offsets_pkey PRIMARY KEY (consumer_group, topic, partition)
);
COMMENT ON COLUMN consumer_offsets.next_offset IS 'NULL: nothing was written yet';
COMMENT ON COLUMN consumer_offsets.epoch IS 'of the writer who owns the partition';

CREATE TABLE dim_campaigns (
    app_id TEXT NOT NULL,
    campaign TEXT NOT NULL,
    channel TEXT,
    network TEXT,
    utm_source TEXT,
    utm_medium TEXT,
    first_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT dim_campaigns_pkey PRIMARY KEY (app_id, campaign)
);
COMMENT ON COLUMN dim_campaigns.campaign IS 'campaign_id, else utm_campaign';

CREATE TABLE dim_users (
    app_id TEXT NOT NULL,
    person TEXT NOT NULL,
    first_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    user_id TEXT,
    country TEXT,
    os_name TEXT,
    CONSTRAINT dim_users_pkey PRIMARY KEY (app_id, person)
) WITH (fillfactor = 70);

CREATE TABLE fact_events (
    app_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_day DATE NOT NULL,
    event TEXT NOT NULL,
    event_at TIMESTAMP WITH TIME ZONE NOT NULL,
    client_at TIMESTAMP WITH TIME ZONE NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    late BOOLEAN NOT NULL,
    person TEXT NOT NULL,
    subject TEXT NOT NULL,
    session_id TEXT NOT NULL,
    user_id TEXT,
    device_id TEXT,
    cookie_id TEXT,
    properties JSONB,
    revenue NUMERIC(20, 6),
    currency TEXT,
    campaign_id TEXT,
    channel TEXT,
    utm_source TEXT,
    utm_medium TEXT,
    utm_campaign TEXT,
    utm_term TEXT,
    utm_content TEXT,
    click_ids JSONB,
    app_version TEXT,
    page_url TEXT,
    page_referrer TEXT,
    page_title TEXT,
    context JSONB,
    referral JSONB,
    ip TEXT,
    user_agent TEXT,
    browser TEXT,
    browser_version TEXT,
    os_name TEXT,
    os_version TEXT,
    device_brand TEXT,
    device_model TEXT,
    bot BOOLEAN NOT NULL,
    country TEXT,
    region TEXT,
    city TEXT,
    timezone TEXT,
    CONSTRAINT fact_events_pkey PRIMARY KEY (app_id, event_id, event_day))
PARTITION BY RANGE (event_day);
CREATE INDEX fact_events_app_id_person_event_at_idx ON fact_events (app_id, person, event_at);
COMMENT ON COLUMN fact_events.event_day IS 'of event_at, in UTC';

CREATE TABLE fact_sessions (
    app_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    person TEXT NOT NULL,
    subject TEXT NOT NULL,
    status TEXT NOT NULL,
    merged_into TEXT,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE NOT NULL,
    event_count BIGINT NOT NULL,
    page_views BIGINT NOT NULL,
    conversions BIGINT NOT NULL,
    revenue NUMERIC(20, 6),
    currency TEXT,
    entry_page TEXT,
    exit_page TEXT,
    campaign_id TEXT,
    channel TEXT,
    utm_source TEXT,
    utm_medium TEXT,
    utm_campaign TEXT,
    utm_term TEXT,
    utm_content TEXT,
    browser TEXT,
    os_name TEXT,
    device_model TEXT,
    country TEXT,
    city TEXT,
    bot BOOLEAN NOT NULL,
    CONSTRAINT fact_sessions_pkey PRIMARY KEY (app_id, session_id)
);
CREATE INDEX fact_sessions_app_id_person_started_at_idx
    ON fact_sessions (app_id, person, started_at);
CREATE INDEX fact_sessions_app_id_started_at_idx ON fact_sessions (app_id, started_at);

CREATE TABLE rejected (
    rejected_id TEXT NOT NULL,
    app_id TEXT,
    stage TEXT NOT NULL,
    reasons TEXT[] NOT NULL,
    detail TEXT NOT NULL,
    payload BYTEA NOT NULL,
    content_type TEXT,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version TEXT NOT NULL,
    CONSTRAINT rejected_pkey PRIMARY KEY (rejected_id)
);
CREATE INDEX rejected_app_id_received_at_idx ON rejected (app_id, received_at);
"""

_VIEW = """
CREATE VIEW sessions AS SELECT * FROM fact_sessions WHERE status <> 'merged';
COMMENT ON VIEW sessions IS 'Without those that a late event joined to another';
"""


def upgrade() -> None:
    """Create the tables and the view."""
    op.execute(_TABLES)
    op.execute(_VIEW)


def downgrade() -> None:
    """Drop them, data included."""
    op.execute("DROP VIEW sessions")
    op.execute(
        "DROP TABLE attribution_revisions, attributions, consumer_offsets, dim_campaigns, "
        "dim_users, fact_events, fact_sessions, rejected"
    )
