"""What a Segment message says of consent, and who is then found by network and system."""

import json
from typing import Any

import pytest

from tests.core.segmented import IOS, NOW_MS, accepted, app
from tests.core.visiting import apply, envelope
from trackstream.core.records import RawEvent


def guessed(event: RawEvent) -> bool:
    _, out = apply(None, envelope(event, received_at_ms=NOW_MS), 0)
    assert out.probes
    return any(probe.identifier.startswith("fp:") for probe in out.probes)


def consent_of(event: RawEvent) -> dict[str, bool]:
    assert event.context is not None
    return event.context.consent


@pytest.mark.parametrize(
    ("device", "denied"),
    [
        ({"adTrackingEnabled": False}, {"ad_tracking": False}),
        ({"adTrackingEnabled": "false"}, {"ad_tracking": False}),
        ({"trackingStatus": "denied"}, {"att": False}),
        ({"trackingStatus": "Restricted"}, {"att": False}),
        ({"attTrackingStatus": 1}, {"att": False}),
        ({"attTrackingStatus": 2}, {"att": False}),
        (
            {"adTrackingEnabled": False, "trackingStatus": "denied"},
            {"ad_tracking": False, "att": False},
        ),
        ({"adTrackingEnabled": True, "trackingStatus": "authorized"}, {}),
        ({"adTrackingEnabled": None, "trackingStatus": "notDetermined"}, {}),
        ({"trackingStatus": ["denied"], "attTrackingStatus": 3}, {}),
        ({"attTrackingStatus": 0}, {}),
    ],
)
def test_a_device_that_denies_tracking_is_found_by_no_network_and_no_advertising_id(
    device: dict[str, Any], denied: dict[str, bool]
) -> None:
    device = {"id": "d-1", "advertisingId": "A-D", **device}
    event = accepted(app("Application Installed", os=IOS, device=device))
    assert consent_of(event) == denied
    assert event.idfa == (None if denied else "A-D")
    assert guessed(event) is not bool(denied)


def test_a_denial_wins_over_what_the_same_message_allows() -> None:
    consent = {"categoryPreferences": {"Advertising": True, "att": True, "Analytics": False}}
    device = {"id": "d-1", "trackingStatus": "denied"}
    event = accepted(app("Application Installed", device=device, consent=consent))
    assert consent_of(event) == {"Advertising": True, "Analytics": False, "att": False}
    assert not guessed(event)


@pytest.mark.parametrize("category", ["Advertising", "Ad Personalization", "C0004", "marketing"])
def test_a_category_that_is_denied_counts(category: str) -> None:
    consent = {"categoryPreferences": {"Functional": True, category: False}}
    assert not guessed(accepted(app("Application Installed", consent=consent)))
    allowed = {"categoryPreferences": {"Analytics": False, category: True}}
    assert guessed(accepted(app("Application Installed", consent=allowed)))


def test_what_is_odd_among_categories_hides_no_denial() -> None:
    many = {f"c{number}": True for number in range(80)}
    given = {**many, "Advertising": False, "odd": "yes", "n" * 65: False}
    device = {"id": "d-1", "adTrackingEnabled": False}
    consent = {"categoryPreferences": given, "source": "banner"}
    event = accepted(app("Application Installed", device=device, consent=consent))
    kept = consent_of(event)
    assert len(kept) == 64
    assert (kept["Advertising"], kept["ad_tracking"]) == (False, False)
    assert event.context is not None
    unread = json.loads(event.context.extra or "")["$segment"]["consent"]
    assert unread.pop("source") == "banner"
    assert {**kept, **unread["categoryPreferences"]} == {**given, "ad_tracking": False}
