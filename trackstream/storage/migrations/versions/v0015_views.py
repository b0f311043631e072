"""Materialised views: campaigns by day, credits by day, sign-up and purchase, retention."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# Days are in UTC. '' stands for no campaign and for no currency: a unique index is needed to
# refresh beside readers, and no two NULLs are the same to it.
_CAMPAIGN_DAYS = """
CREATE MATERIALIZED VIEW campaign_days AS
WITH decided AS (
    SELECT app_id, coalesce(campaign_id, '') AS campaign,
        (converted_at AT TIME ZONE 'UTC')::date AS day,
        count(*) FILTER (WHERE kind = 'install' AND method <> 'reinstall' AND NOT reattribution)
            AS installs,
        count(*) FILTER (WHERE kind = 'install' AND (method = 'reinstall' OR reattribution))
            AS reinstalls,
        count(*) FILTER (WHERE kind <> 'install') AS conversions
    FROM attributions GROUP BY 1, 2, 3
), money AS (
    SELECT app_id, campaign, day, jsonb_object_agg(currency, revenue) AS revenues
    FROM (
        SELECT app_id, coalesce(campaign_id, '') AS campaign,
            (converted_at AT TIME ZONE 'UTC')::date AS day,
            coalesce(currency, '') AS currency, sum(revenue) AS revenue
        FROM attributions WHERE revenue IS NOT NULL GROUP BY 1, 2, 3, 4
    ) AS each GROUP BY 1, 2, 3
), visited AS (
    SELECT app_id, coalesce(campaign_id, '') AS campaign,
        (started_at AT TIME ZONE 'UTC')::date AS day, count(*) AS sessions
    FROM fact_sessions WHERE status <> 'merged' AND NOT bot GROUP BY 1, 2, 3
)
SELECT app_id, campaign, day, coalesce(sessions, 0) AS sessions,
    coalesce(installs, 0) AS installs, coalesce(reinstalls, 0) AS reinstalls,
    coalesce(conversions, 0) AS conversions, coalesce(revenues, '{}') AS revenues
FROM decided
FULL JOIN visited USING (app_id, campaign, day)
LEFT JOIN money USING (app_id, campaign, day)
WITH NO DATA;
CREATE UNIQUE INDEX campaign_days_key ON campaign_days (app_id, campaign, day);
COMMENT ON MATERIALIZED VIEW campaign_days IS
    'Sessions by their start, decisions by their conversion; revenues: amounts by currency';
"""

_CREDIT_DAYS = """
CREATE MATERIALIZED VIEW campaign_credit_days AS
SELECT app_id, model, coalesce(campaign_id, '') AS campaign,
    (converted_at AT TIME ZONE 'UTC')::date AS day, coalesce(currency, '') AS currency,
    sum(share_millionths) * 0.000001 AS conversions, coalesce(sum(revenue), 0) AS revenue
FROM attribution_credits GROUP BY 1, 2, 3, 4, 5
WITH NO DATA;
CREATE UNIQUE INDEX campaign_credit_days_key
    ON campaign_credit_days (app_id, model, campaign, day, currency);
COMMENT ON MATERIALIZED VIEW campaign_credit_days IS
    'What each multi-touch model gives to campaigns; conversions are sums of shares';
"""

_DAILY_FUNNEL = """
CREATE MATERIALIZED VIEW daily_funnel AS
WITH seen AS (
    SELECT e.app_id, coalesce(u.merged_into, e.person) AS person,
        min(e.event_at) AS first_at,
        min(e.event_at) FILTER (WHERE e.event = 'sign_up') AS signed_up_at,
        max(e.event_at) FILTER (WHERE e.event = 'purchase') AS purchased_at
    FROM fact_events AS e
    LEFT JOIN dim_users AS u ON u.app_id = e.app_id AND u.person = e.person
    WHERE NOT e.bot GROUP BY 1, 2
)
SELECT app_id, (first_at AT TIME ZONE 'UTC')::date AS day, count(*) AS persons,
    count(signed_up_at) AS signed_up,
    count(*) FILTER (WHERE purchased_at > signed_up_at) AS purchased
FROM seen GROUP BY 1, 2
WITH NO DATA;
CREATE UNIQUE INDEX daily_funnel_key ON daily_funnel (app_id, day);
COMMENT ON MATERIALIZED VIEW daily_funnel IS
    'Persons by the day on which they were first seen; purchased: after their sign-up';
"""

_COHORTS = """
CREATE MATERIALIZED VIEW retention_cohorts AS
WITH installed AS (
    SELECT a.app_id, coalesce(u.merged_into, a.person) AS person,
        min((a.converted_at AT TIME ZONE 'UTC')::date) AS day
    FROM attributions AS a
    LEFT JOIN dim_users AS u ON u.app_id = a.app_id AND u.person = a.person
    WHERE a.kind = 'install' AND a.method <> 'reinstall' AND NOT a.reattribution
    GROUP BY 1, 2
), active AS (
    SELECT DISTINCT e.app_id, coalesce(u.merged_into, e.person) AS person, e.event_day AS day
    FROM fact_events AS e
    LEFT JOIN dim_users AS u ON u.app_id = e.app_id AND u.person = e.person
    WHERE NOT e.bot
), sizes AS (
    SELECT app_id, day, count(*) AS installed FROM installed GROUP BY 1, 2
)
SELECT i.app_id, i.day AS install_day, a.day - i.day AS day_n, s.installed,
    count(*) AS active
FROM installed AS i
JOIN active AS a ON a.app_id = i.app_id AND a.person = i.person
    AND a.day BETWEEN i.day AND i.day + 365
JOIN sizes AS s ON s.app_id = i.app_id AND s.day = i.day
GROUP BY 1, 2, 3, 4
WITH NO DATA;
CREATE UNIQUE INDEX retention_cohorts_key ON retention_cohorts (app_id, install_day, day_n);
COMMENT ON MATERIALIZED VIEW retention_cohorts IS
    'Of the persons installed on a day, those with an event n days later, up to 365; none: no row';
"""


def upgrade() -> None:
    """Create them, without data: filling them may take long, and has a command."""
    for view in (_CAMPAIGN_DAYS, _CREDIT_DAYS, _DAILY_FUNNEL, _COHORTS):
        op.execute(view)


def downgrade() -> None:
    """Drop them; all that was in them can be made again."""
    op.execute(
        "DROP MATERIALIZED VIEW campaign_days, campaign_credit_days, daily_funnel, "
        "retention_cohorts"
    )
