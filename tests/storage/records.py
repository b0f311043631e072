"""Records to write, with what a test does not speak of filled in."""

from __future__ import annotations

from typing import Any

from trackstream.core.records import (
    Attribution,
    Campaign,
    Candidate,
    Context,
    Event,
    LastTouch,
    Referral,
    Rejected,
    Session,
    Touch,
)

AT_MS = 1_752_148_800_123  # 2025-07-10T12:00:00.123Z
DAY_MS = 86_400_000


def an_event(event_id: str = "e1", **other: Any) -> Event:
    """An event of the app `demo`."""
    values: dict[str, Any] = {
        "event_id": event_id,
        "app_id": "demo",
        "event": "page",
        "timestamp_ms": AT_MS,
        "client_timestamp_ms": AT_MS - 500,
        "received_at_ms": AT_MS + 1000,
        "person": "user:u1",
        "subject": "demo|device:d1",
        "session_id": "s1",
    }
    return Event(**{**values, **other})


def a_full_event() -> Event:
    """An event in which everything is said."""
    return an_event(
        "full",
        late=True,
        user_id="u1",
        device_id="d1",
        cookie_id="c1",
        properties='{"price": 49.99, "tags": ["a", "b"]}',
        revenue_micros=49_990_001,
        currency="EUR",
        campaign=Campaign(
            campaign_id="cmp",
            channel="search",
            utm_source="s",
            utm_medium="m",
            utm_campaign="c",
            utm_term="t",
            utm_content="n",
            click_ids={"gclid": "g1"},
        ),
        context=Context(
            app_version="1.2",
            os_name="iOS",
            page_url="https://a.example/ü?x=1",
            page_referrer="https://b.example/",
            page_title='Say "hi", \\ all\nof\tyou',
            consent={"ads": False},
            extra='{"deep": [1, null]}',
        ),
        referral=Referral(click_id="k1", install_begin_at_ms=AT_MS - 5),
        ip="2001:db8::1",
        user_agent="Mozilla/5.0 (X11)",
        browser="Firefox",
        browser_version="128.0",
        os_name="Linux",
        os_version="6",
        device_brand="B",
        device_model="M",
        form_factor="desktop",
        bot=True,
        country="DE",
        region="Berlin",
        city="Köln",
        timezone="Europe/Berlin",
        asn=3320,
        asn_organization="Deutsche Telekom AG",
        referrer_type="search",
        referrer_name="Google",
        touch=LastTouch(
            touch_id="t1",
            kind="click",
            at_ms=AT_MS - 1,
            campaign_id="spring",
            ad_group="g",
            channel="paid",
            network="adnet",
            method="click_probabilistic",
        ),
    )


def a_session(session_id: str = "s1", revision: int = 1, **other: Any) -> Session:
    """A session of the app `demo`."""
    values: dict[str, Any] = {
        "session_id": session_id,
        "revision": revision,
        "app_id": "demo",
        "person": "user:u1",
        "subject": "demo|device:d1",
        "status": "open",
        "started_at_ms": AT_MS,
        "ended_at_ms": AT_MS + 60_000,
        "duration_ms": 60_000,
        "event_count": 2,
        "page_views": 1,
        "bounced": False,
        "conversions": 0,
    }
    return Session(**{**values, **other})


def a_touch(touch_id: str = "t1", **other: Any) -> Touch:
    """A click on a campaign."""
    values: dict[str, Any] = {
        "touch_id": touch_id,
        "app_id": "demo",
        "kind": "click",
        "at_ms": AT_MS - 60_000,
        "identifiers": ["click:k1", "device:d1"],
        "click_id": "k1",
        "campaign_id": "cmp001",
        "channel": "search",
        "network": "google",
        "cost_micros": 120_000,
        "currency": "USD",
    }
    return Touch(**{**values, **other})


def an_attribution(conversion_id: str = "v1", revision: int = 1, **other: Any) -> Attribution:
    """The attribution of an install to `a_touch`."""
    values: dict[str, Any] = {
        "conversion_id": conversion_id,
        "revision": revision,
        "app_id": "demo",
        "person": "device:d1",
        "subject": "demo|device:d1",
        "kind": "install",
        "event": "install",
        "event_id": "e1",
        "at_ms": AT_MS,
        "decided_at_ms": AT_MS + 2000,
        "method": "click_deterministic",
        "confidence": 1.0,
        "touch": a_touch(),
        "identifier": "click:k1",
        "window_ms": 7 * DAY_MS,
        "candidates": [
            Candidate(
                touch=a_touch(),
                identifier="click:k1",
                match_type="click_deterministic",
                confidence=1.0,
                verdict="chosen",
            ),
            Candidate(
                touch=a_touch("t0", at_ms=AT_MS - DAY_MS),
                identifier="device:d1",
                match_type="click_deterministic",
                confidence=1.0,
                verdict="older",
            ),
        ],
        "unanswered": ['user:"x", y'],
        "rules_version": "r1",
    }
    return Attribution(**{**values, **other})


def a_rejected(rejected_id: str = "r1", **other: Any) -> Rejected:
    """A refused request."""
    values: dict[str, Any] = {
        "rejected_id": rejected_id,
        "app_id": "demo",
        "stage": "collector",
        "reasons": ["malformed_body", "too_deep"],
        "detail": "no, really",
        "payload": b"\x00\xff{",
        "content_type": "application/json",
        "received_at_ms": AT_MS,
        "version": "0.1.0",
    }
    return Rejected(**{**values, **other})
