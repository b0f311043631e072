"""Attributions and destinations, with what a test does not speak of filled in."""

from __future__ import annotations

from typing import Any

from trackstream.core.postbacks.destinations import Destination
from trackstream.core.records import Attribution, Candidate, Touch

AT_MS = 1_752_148_800_123  # 2025-07-10T12:00:00.123Z
CLICK_MS = AT_MS - 60_000


def a_touch(**other: Any) -> Touch:
    values: dict[str, Any] = {
        "touch_id": "t1",
        "app_id": "shop",
        "kind": "click",
        "at_ms": CLICK_MS,
        "identifiers": ["click:c1"],
        "click_id": "c1",
        "campaign_id": "cmp001",
        "network": "acme",
    }
    return Touch(**{**values, **other})


def a_candidate(verdict: str, **touch: Any) -> Candidate:
    """A touch that was found by its click id."""
    return Candidate(
        touch=a_touch(**touch),
        identifier="click:c1",
        match_type="click_deterministic",
        confidence=1.0,
        verdict=verdict,
    )


def an_attribution(**other: Any) -> Attribution:
    """An attributed install of the app `shop`; an organic one with `touch=None`."""
    values: dict[str, Any] = {
        "conversion_id": "shop:i1",
        "revision": 1,
        "app_id": "shop",
        "person": "device:d1",
        "subject": "device:d1",
        "kind": "install",
        "event": "install",
        "event_id": "i1",
        "at_ms": AT_MS,
        "decided_at_ms": AT_MS + 2000,
        "method": "click_deterministic",
        "confidence": 1.0,
        "touch": a_touch(),
        "rules_version": "default-1",
    }
    return Attribution(**{**values, **other})


def a_destination(**other: Any) -> Destination:
    values: dict[str, Any] = {
        "destination_id": "dst_1",
        "app_id": "shop",
        "name": "Acme",
        "url": "https://acme.example/cb?click={click_id}",
    }
    return Destination(**{**values, **other})
