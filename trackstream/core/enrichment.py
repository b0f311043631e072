"""An accepted event and what was looked up about it, as one enriched event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.core.contexts import noted
from trackstream.core.form_factors import of_device
from trackstream.core.money import revenue
from trackstream.core.reasons import Reason
from trackstream.core.records import Context, Envelope, Event, RawEvent
from trackstream.core.referrers import classify

if TYPE_CHECKING:
    from trackstream.core.lookups import Place, UserAgent
    from trackstream.core.records import LastTouch
    from trackstream.core.rules import Rules

__all__ = ["enriched"]

_NO_CONTEXT = Context()


def enriched(
    raw: RawEvent,
    envelope: Envelope,
    *,
    at_ms: int,
    person: str,
    user_id: str | None,
    touch: LastTouch | None,
    place: Place,
    user_agent: UserAgent,
    rules: Rules,
) -> Event:
    """The enriched event, its session still open (`session_id` is empty).

    `at_ms` is its corrected time. What the sender's context says of its device wins over what its
    user agent says.
    """
    context = raw.context or _NO_CONTEXT
    declared = raw.event in rules.conversion_events
    money = revenue(raw.event, raw.properties, declared=declared)
    sent_by = classify(context.page_url, context.page_referrer, raw.campaign)
    return Event(
        event_id=raw.event_id,
        app_id=envelope.app_id,
        event=raw.event,
        timestamp_ms=at_ms,
        client_timestamp_ms=raw.timestamp_ms,
        received_at_ms=envelope.received_at_ms,
        late=envelope.received_at_ms - at_ms > rules.late_after_ms,
        person=person,
        subject=envelope.subject,
        session_id="",
        user_id=user_id,
        device_id=raw.device_id,
        cookie_id=raw.cookie_id,
        properties=raw.properties,
        revenue_micros=money.micros,
        currency=money.currency,
        campaign=raw.campaign,
        context=_noted(raw.context, money.unread) if money.unread else raw.context,
        referral=raw.referral,
        ip=envelope.ip,
        user_agent=envelope.user_agent,
        browser=user_agent.browser,
        browser_version=user_agent.browser_version,
        os_name=context.os_name or user_agent.os_name,
        os_version=context.os_version or user_agent.os_version,
        device_brand=context.device_manufacturer or user_agent.device_brand,
        device_model=context.device_model or user_agent.device_model,
        form_factor=_form_factor(context, user_agent),
        bot=user_agent.bot,
        country=place.country,
        region=place.region,
        city=place.city,
        timezone=context.timezone or place.timezone,
        referrer_type=sent_by[0],
        referrer_name=sent_by[1],
        asn=place.asn,
        asn_organization=place.asn_organization,
        touch=touch,
    )


def _noted(context: Context | None, unread: tuple[str, ...]) -> Context:
    reason = str(Reason.INVALID_PROPERTY)
    return noted(context, "$money", {f"properties.{name}": reason for name in unread})


def _form_factor(context: Context, user_agent: UserAgent) -> str | None:
    stated = (context.device_type, context.os_name, context.device_model)
    return of_device(*stated, user_agent.form_factor) if any(stated) else user_agent.form_factor
