"""Who may be found by network and system: what events say of consent to being tracked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from trackstream.core.records import Context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackstream.core.rules import Rules

__all__ = ["TRACKING_PURPOSES", "guess_window_ms", "may_be_guessed", "objecting"]

TRACKING_PURPOSES = (
    *("ads", "advertising", "targeted_advertising", "personalized_ads", "marketing", "targeting"),
    *("tracking", "ad_tracking", "fingerprinting", "profiling"),
    *("ad_storage", "ad_user_data", "ad_personalization"),
    *("att", "app_tracking", "app_tracking_transparency"),
    "C0004",
)
"""Purposes in `context.consent`: plain words, those of Google's consent mode that are about
advertising, Apple's App Tracking Transparency, and OneTrust's category for targeting."""

_NOT_NAMING = re.compile(r"[^a-z0-9]+")


def _plain(purpose: str) -> str:
    """Purposes are the same however they are spelt: `ad_storage`, `adStorage`, `Ad Storage`."""
    return _NOT_NAMING.sub("", purpose.lower())


_TRACKING = frozenset(map(_plain, TRACKING_PURPOSES))


def may_be_guessed(context: Context | None, rules: Rules) -> bool:
    """Whether an install of this context may be matched by network and system.

    Not where the rules have that off, nor when it denies any of `TRACKING_PURPOSES`, nor, where the
    rules ask for consent, unless it allows one.
    """
    if not rules.probabilistic:
        return False
    said = _said(context.consent if context else {})
    return all(said) and (bool(said) or not rules.probabilistic_needs_consent)


def objecting(context: Context | None) -> Context:
    """The context of an event whose sender's browser says that its user is not to be tracked."""
    context = context or Context()
    return msgspec.structs.replace(context, consent={**context.consent, "tracking": False})


def guess_window_ms(rules: Rules) -> int:
    """How old a click may be that is found by network and system; 0: none is."""
    if not rules.probabilistic or "click_probabilistic" not in rules.waterfall:
        return 0
    return rules.window_ms("click_probabilistic")


def _said(consent: Mapping[str, bool]) -> list[bool]:
    return [given for purpose, given in consent.items() if _plain(purpose) in _TRACKING]
