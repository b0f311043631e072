"""A made-up attribution, with which somebody tries a destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.core.records import Attribution, Candidate, Touch

if TYPE_CHECKING:
    from trackstream.core.postbacks.destinations import Destination

__all__ = ["sample"]

_HOUR_MS = 3_600_000


def sample(destination: Destination, *, event: str, at_ms: int) -> Attribution:
    """A conversion of the destination's app, campaign and network, in which every macro speaks.

    For a destination that is told of rejections, one whose click was rejected.

    Args:
        destination: Who is to be told.
        event: `install`, or an event's name.
        at_ms: When, epoch milliseconds.
    """
    touch = Touch(
        touch_id="test-touch",
        app_id=destination.app_id,
        kind="click",
        at_ms=at_ms - _HOUR_MS,
        identifiers=["click:test-click", "gaid:00000000-0000-4000-8000-000000000001"],
        click_id="test-click",
        campaign_id=destination.campaign_id or "test-campaign",
        channel="test-channel",
        network=destination.network or "test-network",
        ad_group="test-ad-group",
        creative="test-creative",
        sub_publisher="test-publisher",
        ip="192.0.2.1",
    )
    return Attribution(
        conversion_id=f"{destination.app_id}:test-{at_ms}",
        revision=1,
        app_id=destination.app_id,
        person="user:test-user",
        subject="device:test-device",
        kind="install" if event == "install" else "event",
        event=event,
        event_id=f"test-{at_ms}",
        at_ms=at_ms,
        decided_at_ms=at_ms,
        method="organic" if destination.rejected else "click_deterministic",
        confidence=1.0,
        touch=None if destination.rejected else touch,
        identifier=None if destination.rejected else "click:test-click",
        candidates=[
            Candidate(
                touch=touch,
                identifier="click:test-click",
                match_type="click_deterministic",
                confidence=1.0,
                verdict="fraud:click_flooding" if destination.rejected else "chosen",
            )
        ],
        inherited_at_ms=None if event == "install" else at_ms - _HOUR_MS // 2,
        rules_version="test",
        country="DE",
        revenue_micros=None if event == "install" else 1_990_000,
        currency=None if event == "install" else "EUR",
        identifiers=["user:test-user", "device:test-device"],
    )
