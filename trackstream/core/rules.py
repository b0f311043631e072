"""The rules of an app: windows, waterfall, conversions, fraud. Versioned, named in decisions."""

from __future__ import annotations

from typing import Any

import msgspec

from trackstream.core.privacy import IpPrivacy

__all__ = [
    "DAY_MS",
    "DEFAULT",
    "FRAUD_RULES",
    "HOUR_MS",
    "MATCH_TYPES",
    "OF_THE_SERVICE",
    "Blocklists",
    "FraudRules",
    "Rules",
]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

MATCH_TYPES = (
    "click_deterministic",
    "click_probabilistic",
    "view_deterministic",
    "view_probabilistic",
)
"""Strongest first, as in the measurement partners' documentation."""

FRAUD_RULES = (
    "click_after_install_began",
    "click_to_install_too_short",
    "bot",
    "emulator",
    "data_centre",
    "blocked_ip",
    "blocked_user_agent",
    "blocked_sub_publisher",
    "click_flooding",
    "click_used_before",
    "flooding_source",
    "many_devices",
    "geo_mismatch",
)
"""In the order in which they are asked; the first that rejects is the reason that is named."""


def _default_actions() -> dict[str, str]:
    return {
        **dict.fromkeys(FRAUD_RULES, "reject"),
        "many_devices": "flag",
        "geo_mismatch": "flag",
    }


_DATA_CENTRES = (
    *(14061, 14618, 16276, 16509),  # DigitalOcean, Amazon, OVH, Amazon
    *(20473, 24940, 31898, 45102),  # Vultr, Hetzner, Oracle, Alibaba
    *(63949, 132203, 396982, 8075),  # Linode, Tencent, Google Cloud, Microsoft
)


class Blocklists(msgspec.Struct, frozen=True, kw_only=True):
    """Who gets no credit. Sources are `campaign_id/sub_publisher`, marked by the flooding job."""

    ips: tuple[str, ...] = ()
    """Addresses and CIDR networks."""
    user_agents: tuple[str, ...] = ()
    """Parts of user agent strings, in any case."""
    sub_publishers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


class FraudRules(msgspec.Struct, frozen=True, kw_only=True):
    """What each rule does (`reject`, `flag` or `off`), and the thresholds."""

    actions: dict[str, str] = msgspec.field(default_factory=_default_actions)
    min_click_to_install_ms: int = 10_000
    """Shorter than any download; only without the store's own timestamps."""
    max_touches_per_hour: int = 60
    """Clicks of one deterministic identifier within any one hour; more is flooding."""
    max_devices_per_network: int = 20
    """Devices that touched from the network and system of an install; more are noted."""
    emulator_models: tuple[str, ...] = (
        "sdk_gphone",
        "android sdk built for",
        "emulator",
        "simulator",
    )
    data_centre_asns: tuple[int, ...] = _DATA_CENTRES
    """Numbers of autonomous systems where machines are let and nobody carries a phone."""
    blocklists: Blocklists = Blocklists()


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Rules for one app. The defaults are those that most measurement partners use."""

    version: str = "default-1"
    click_window_ms: int = 7 * DAY_MS
    click_probabilistic_window_ms: int = 24 * HOUR_MS
    view_window_ms: int = 24 * HOUR_MS
    view_probabilistic_window_ms: int = 6 * HOUR_MS
    waterfall: tuple[str, ...] = MATCH_TYPES
    """Match types in order of preference; one that is left out is not used."""
    probabilistic: bool = True
    """Whether fingerprints are used at all."""
    probabilistic_needs_consent: bool = False
    """Whether only for subjects that allow advertising or tracking in `context.consent`; one that
    denies it is never matched so."""
    min_confidence: float = 0.6
    """Below it a probabilistic match is refused."""
    ambiguity_margin: float = 0.05
    """Two devices whose confidence differs by less are too close: neither is chosen."""
    reattribution_after_ms: int = 90 * DAY_MS
    """A reinstall after so long without any conversion of the device is attributed anew."""
    reengagement_window_ms: int = 7 * DAY_MS
    """For how long events inherit from a re-engagement instead of from the install."""
    conversion_events: tuple[str, ...] = ("purchase", "sign_up")
    reengagement_events: tuple[str, ...] = ("app_open", "deep_link_opened")
    """Re-engagements when they name a click or a campaign."""
    own_touch_events: tuple[str, ...] = ()
    """Conversions that are matched by their own touches even after an install (web)."""
    model: str = "last"
    """The primary model: reports show its credits first. Which touch is chosen does not depend."""
    models: tuple[str, ...] = ("first", "last", "linear", "position", "time_decay", "priority")
    """Multi-touch models whose credits are computed beside the decision."""
    half_life_ms: int = 7 * DAY_MS
    channel_weights: dict[str, float] = {}
    """Of the priority model; a channel that is not named weighs 1."""
    model_parameters: dict[str, dict[str, Any]] = {}
    """More parameters, by model."""
    fraud: FraudRules = FraudRules()
    clock_tolerance_ms: int = 60_000
    """How far behind a device's clock may be: a touch that much after an install's time still
    counts, if it was before the install's arrival."""
    depth: int = 2
    """Identifiers reached by at most this many links are asked; up to `DEEPEST`."""
    max_asked: int = 64
    """Identifiers that one conversion asks at most."""
    max_touches: int = 200
    max_links: int = 32
    max_probes: int = 200
    """Bounds of what one identifier's owner remembers, newest kept."""
    answer_deadline_ms: int = 30_000
    session_gap_ms: int = 30 * 60_000
    session_cap_ms: int = DAY_MS
    """The longest session: activity that goes on without a gap is cut."""
    session_per_campaign: bool = False
    """Whether an event that names another campaign than the one before it begins a session."""
    client_sessions: bool = False
    """Whether a session id that the client gives makes the session, whatever the times."""
    session_memory_ms: int = 7 * DAY_MS
    """How far behind a subject's newest event a late one may still change its sessions."""
    max_sessions: int = 256
    logout_events: tuple[str, ...] = ("logout",)
    """After these a subject's events are nobody's until a user is named again."""
    max_recent_events: int = 512
    """Remembered event ids per subject, against duplicates."""
    max_ahead_ms: int = 5 * 60_000
    """How far ahead of its arrival an event may be; beyond it is set to its arrival."""
    late_after_ms: int = DAY_MS
    """How far behind its arrival an event is marked late."""
    ip_privacy: IpPrivacy = "full"
    """What of addresses is published: all, truncated (/24, /48), or nothing; see `core.privacy`."""

    def window_ms(self, match_type: str) -> int:
        """How old a touch of this match type may be."""
        return {
            "click_deterministic": self.click_window_ms,
            "click_probabilistic": self.click_probabilistic_window_ms,
            "view_deterministic": self.view_window_ms,
            "view_probabilistic": self.view_probabilistic_window_ms,
        }[match_type]


DEEPEST = 4
"""Links that can be followed from an identifier to the next, at most."""
OF_THE_SERVICE = ("session_gap_ms", "answer_deadline_ms")
"""Not an app's to say: settings of the whole service."""

DEFAULT = Rules()
