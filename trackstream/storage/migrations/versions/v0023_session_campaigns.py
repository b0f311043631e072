"""Campaigns by day: a session is of its `campaign_id`, else of its `utm_campaign`."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_DROP = "DROP MATERIALIZED VIEW campaign_days"

# As in dim_campaigns. A decision's campaign is that of a tracking link, which always has an id.
_OF_A_SESSION = {"before": "campaign_id", "now": "campaign_id, utm_campaign"}


def _view(of_a_session: str) -> str:
    return f"""
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
    SELECT app_id, coalesce({of_a_session}, '') AS campaign,
        (started_at AT TIME ZONE 'UTC')::date AS day, count(*) AS sessions
    FROM fact_sessions WHERE status <> 'merged' AND NOT bot GROUP BY 1, 2, 3
)
SELECT app_id, campaign, day, coalesce(sessions, 0) AS sessions,
    coalesce(installs, 0) AS installs, coalesce(reinstalls, 0) AS reinstalls,
    coalesce(conversions, 0) AS conversions, coalesce(revenues, '{{}}') AS revenues
FROM decided
FULL JOIN visited USING (app_id, campaign, day)
LEFT JOIN money USING (app_id, campaign, day)
WITH NO DATA;
CREATE UNIQUE INDEX campaign_days_key ON campaign_days (app_id, campaign, day);
COMMENT ON MATERIALIZED VIEW campaign_days IS
    'Sessions by their start, decisions by their conversion; revenues: amounts by currency';
"""  # noqa: S608 - names of our schema


def upgrade() -> None:
    """Make the view anew, without data: the next refresh fills it."""
    op.execute(_DROP)
    op.execute(_view(_OF_A_SESSION["now"]))


def downgrade() -> None:
    """Make it as it was."""
    op.execute(_DROP)
    op.execute(_view(_OF_A_SESSION["before"]))
