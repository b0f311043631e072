"""A view of conversions under the column names that measurement partners' raw data has."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_CONTRIBUTORS = "\n".join(
    f"""
    others.list #>> '{{{n},touch_type}}' AS contributor_{n + 1}_touch_type,
    (others.list #>> '{{{n},touch_time}}')::timestamptz AS contributor_{n + 1}_touch_time,
    others.list #>> '{{{n},media_source}}' AS contributor_{n + 1}_media_source,
    others.list #>> '{{{n},campaign}}' AS contributor_{n + 1}_campaign,
    others.list #>> '{{{n},match_type}}' AS contributor_{n + 1}_match_type,"""
    for n in range(3)
)

# Of a candidate; in milliseconds, which an interval has exactly.
_MEDIA_SOURCE = "coalesce(one #>> '{touch,network}', one #>> '{touch,campaign,utm_source}')"
_CAMPAIGN = """coalesce(
            (SELECT campaign FROM links WHERE link_id = one #>> '{touch,link_id}'),
            one #>> '{touch,campaign,utm_campaign}', one #>> '{touch,campaign_id}')"""
_TOUCH_TIME = (
    "timestamptz '1970-01-01 00:00:00Z' + (one #>> '{touch,at_ms}')::bigint * interval '1 ms'"
)


def _identifier(kind: str) -> str:
    """The first of this kind among the conversion's own identifiers, without the kind."""
    return f"""(
        SELECT substr(own, length('{kind}:') + 1)
        FROM jsonb_array_elements_text(revision.conversion -> 'identifiers')
            WITH ORDINALITY AS of (own, place)
        WHERE starts_with(own, '{kind}:') ORDER BY place LIMIT 1
    )"""  # noqa: S608 - a kind of ours


_INSTALL_TIME = "CASE WHEN source.kind = 'install' THEN source.converted_at END"


def view(install_time: str = _INSTALL_TIME, more: str = "", columns: str = "") -> str:
    """The statement that makes it, or replaces it.

    Args:
        install_time: Of what is no install: when the app was installed.
        more: Further joins, which that needs.
        columns: Further ones, each after a comma: a view is replaced by one with more at its end.
    """
    return f"""
CREATE OR REPLACE VIEW raw_data_export AS
SELECT
    mine.app_id,
    mine.touch_kind AS attributed_touch_type,
    mine.touched_at AS attributed_touch_time,
    CASE WHEN mine.kind = 'install' THEN mine.converted_at ELSE {install_time} END
        AS install_time,
    mine.converted_at AS event_time,
    mine.event AS event_name,
    event.properties AS event_value,
    mine.revenue AS event_revenue,
    mine.currency AS event_revenue_currency,
    CASE WHEN mine.touch_id IS NULL THEN 'organic'
        ELSE coalesce(mine.network, revision.touch #>> '{{campaign,utm_source}}')
        END AS media_source,
    coalesce(mine.channel, revision.touch #>> '{{campaign,channel}}',
        revision.touch #>> '{{campaign,utm_medium}}') AS channel,
    mine.keyword AS keywords,
    coalesce(link.campaign, revision.touch #>> '{{campaign,utm_campaign}}', mine.campaign_id)
        AS campaign,
    mine.campaign_id,
    mine.ad_group AS adset,
    mine.creative AS ad,
    mine.sub_publisher AS site_id,
    mine.cost AS cost_value,
    mine.cost_currency,
    CASE WHEN mine.method NOT IN ('organic', 'inherited', 'reinstall') THEN mine.method
        WHEN source.method NOT IN ('organic', 'inherited', 'reinstall') THEN source.method
        WHEN first.method NOT IN ('organic', 'inherited', 'reinstall') THEN first.method
        END AS match_type,
    mine.window_ms * interval '1 ms' AS attribution_lookback,
    typed.conversion_type,
    coalesce(typed.conversion_type IN ('re-engagement', 're-attribution'), false)
        AS is_retargeting,
    mine.country AS country_code,
    event.region,
    event.city,
    event.ip,
    event.user_agent,
    event.context ->> 'locale' AS language,
    lower(coalesce(event.os_name, revision.conversion ->> 'os_name')) AS platform,
    event.device_brand,
    coalesce(event.device_model, revision.conversion ->> 'device_model') AS device_model,
    coalesce(event.os_version, revision.conversion ->> 'os_version') AS os_version,
    event.app_version,
    {_identifier("gaid")} AS advertising_id,
    {_identifier("idfa")} AS idfa,
    {_identifier("idfv")} AS idfv,
    coalesce(event.device_id, {_identifier("device")}) AS device_id,
    coalesce(event.user_id, {_identifier("user")}) AS customer_user_id,
{_CONTRIBUTORS}
    refused.reason AS rejected_reason,
    refused.media_source AS rejected_media_source,
    refused.campaign AS rejected_campaign,
    mine.conversion_id,
    mine.event_id,
    mine.click_id,
    mine.revision,
    mine.rules_version{columns}
FROM attributions AS mine
JOIN attribution_revisions AS revision USING (app_id, conversion_id, revision)
LEFT JOIN attributions AS source
    ON source.app_id = mine.app_id AND source.conversion_id = mine.inherited_from
LEFT JOIN attributions AS first
    ON first.app_id = source.app_id AND first.conversion_id = source.inherited_from
LEFT JOIN links AS link ON link.link_id = mine.link_id
LEFT JOIN fact_events AS event
    ON event.app_id = mine.app_id AND event.event_id = mine.event_id
    AND event.event_day = (mine.converted_at AT TIME ZONE 'UTC')::date
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN kind = 'reengagement' THEN 're-engagement'
        WHEN kind IS DISTINCT FROM 'install' THEN NULL
        WHEN method = 'reinstall' THEN 'reinstall'
        WHEN reattribution THEN 're-attribution'
        ELSE 'install' END AS conversion_type
    FROM (
        SELECT mine.kind, mine.method, mine.reattribution WHERE mine.kind <> 'event'
        UNION ALL
        SELECT source.kind, source.method, source.reattribution WHERE mine.kind = 'event'
    ) AS origin
) AS typed
CROSS JOIN LATERAL (
    SELECT jsonb_agg(told ORDER BY place) AS list
    FROM (
        SELECT row_number() OVER (
            ORDER BY (one #>> '{{touch,at_ms}}')::bigint DESC, one #>> '{{touch,touch_id}}'
        ) AS place, jsonb_build_object(
            'touch_type', one #>> '{{touch,kind}}',
            'touch_time', {_TOUCH_TIME},
            'media_source', {_MEDIA_SOURCE},
            'campaign', {_CAMPAIGN},
            'match_type', one ->> 'match_type'
        ) AS told
        FROM jsonb_array_elements(revision.candidates) AS one
        WHERE one ->> 'verdict' IN ('older', 'lower_class')
        ORDER BY place LIMIT 3
    ) AS newest
) AS others
LEFT JOIN LATERAL (
    SELECT substr(one ->> 'verdict', length('fraud:') + 1) AS reason,
        {_MEDIA_SOURCE} AS media_source, {_CAMPAIGN} AS campaign
    FROM jsonb_array_elements(revision.candidates) AS one
    WHERE starts_with(one ->> 'verdict', 'fraud:')
    ORDER BY (one #>> '{{touch,at_ms}}')::bigint DESC, one #>> '{{touch,touch_id}}' LIMIT 1
) AS refused ON true
{more}
"""  # noqa: S608 - names of our schema


def upgrade() -> None:
    """Create the view."""
    op.execute(view())


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP VIEW raw_data_export")
