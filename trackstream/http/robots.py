"""Clicks and impressions of robots: no touches, but on `rejected` with all that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackstream.core.reasons import Reason
from trackstream.http.rejections import rejected_message
from trackstream.http.steps import deliver

if TYPE_CHECKING:
    from typing import Literal

    from trackstream.core.touches import Visit
    from trackstream.http.steps import Message, Parts
    from trackstream.ports import TrackingLink
    from trackstream.storage.patience import Patience

__all__ = ["deliver_robots", "robots_message"]

_MAX_URL_CHARS = 4_096


def robots_message(
    kind: Literal["click", "impression"],
    link: TrackingLink,
    visit: Visit,
    raw_path: str,
    *,
    rejected_id: str,
    version: str,
) -> Message:
    """The message for `rejected`; it has no origin, because it is to go nowhere again."""
    payload = {
        "kind": kind,
        "link_id": link.link_id,
        "slug": link.slug,
        "campaign_id": link.campaign_id,
        "url": raw_path[:_MAX_URL_CHARS],
        "user_agent": visit.user_agent,
        "ip": visit.ip,
        "at_ms": visit.at_ms,
    }
    return rejected_message(
        app_id=link.app_id,
        rejected_id=rejected_id,
        reasons=[Reason.BOT],
        detail=f"a robot's {kind} is no touch",
        payload=msgspec.json.encode(payload),
        value=None,
        content_type="application/json",
        received_at_ms=visit.at_ms,
        version=version,
        origin=None,
        ip=visit.ip,
        user_agent=visit.user_agent,
    )


async def deliver_robots(messages: list[Message], parts: Parts, patience: Patience) -> None:
    """Write it and count it. Who asked is answered the same if the log does not take it."""
    parts.metrics.refusals.add((Reason.BOT,))
    undelivered = await deliver(messages, parts, patience=patience)
    if undelivered is not None:
        parts.metrics.refusals.add((undelivered.reason,))
