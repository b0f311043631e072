"""A session's state as the record that is published of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.core.cells import total
from trackstream.core.records import Session

if TYPE_CHECKING:
    from trackstream.core.sessions import SessionState

__all__ = ["published"]


def published(
    state: SessionState,
    *,
    app_id: str,
    subject: str,
    person: str,
    status: str,
    clock_error_ms: int = 0,
    merged_into: str | None = None,
) -> Session:
    """The record of this state, under its own revision.

    Args:
        state: The session.
        app_id: Its app.
        subject: Whose it is.
        person: The subject's person in it.
        status: `open`, `closed` or `merged`.
        clock_error_ms: What is added to the device's times.
        merged_into: Where its events are now, if it was merged.
    """
    sums = total(state.cells)
    device = sums.device[2] if sums.device else (None, None, None, None)
    browser, os_name, device_model, form_factor = device
    country, city = sums.where[2] if sums.where else (None, None)
    conversions = sum(sums.conversions.values())
    return Session(
        session_id=state.session_id,
        revision=state.revision,
        app_id=app_id,
        person=person,
        subject=subject,
        status=status,
        merged_into=merged_into,
        client_session_id=state.client_id,
        started_at_ms=sums.start[0] + clock_error_ms,
        ended_at_ms=sums.end[0] + clock_error_ms,
        duration_ms=sums.end[0] - sums.start[0],
        event_count=sums.event_count,
        page_views=sums.page_views,
        bounced=sums.event_count == 1 and not conversions,
        conversions=conversions,
        conversion_names=sorted(sums.conversions),
        revenue_micros=sums.revenue_micros,
        entry_page=sums.entry[2] if sums.entry else None,
        exit_page=sums.exit[2] if sums.exit else None,
        campaign=sums.campaign[2] if sums.campaign else None,
        browser=browser,
        os_name=os_name,
        device_model=device_model,
        form_factor=form_factor,
        country=country,
        city=city,
        bot=sums.bot,
        clock_error_ms=clock_error_ms,
    )
