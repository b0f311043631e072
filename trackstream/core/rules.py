"""The rules of an app: windows, bounds, conversions. Versioned, and named in decisions."""

from __future__ import annotations

import msgspec

__all__ = ["DEFAULT", "Rules"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Rules for one app. The defaults are those that most measurement partners use."""

    version: str = "default-1"
    click_window_ms: int = 7 * DAY_MS
    click_probabilistic_window_ms: int = 24 * HOUR_MS
    view_window_ms: int = 24 * HOUR_MS
    view_probabilistic_window_ms: int = 6 * HOUR_MS
    probabilistic: bool = True
    """Whether fingerprints are used at all."""
    min_confidence: float = 0.6
    """Below it a probabilistic match is refused."""
    depth: int = 2
    """Identifiers reached by at most this many links are asked."""
    max_touches: int = 200
    max_links: int = 32
    max_probes: int = 200
    """Bounds of what one identifier's owner remembers, newest kept."""
    answer_deadline_ms: int = 30_000
    conversion_events: tuple[str, ...] = ("purchase", "sign_up")
    session_gap_ms: int = 30 * 60_000
    session_memory_ms: int = 7 * DAY_MS
    """How far behind a subject's newest event a late one may still change its sessions."""
    max_sessions: int = 256
    max_recent_events: int = 512
    """Remembered event ids per subject, against duplicates."""
    max_ahead_ms: int = 5 * 60_000
    """How far ahead of its arrival an event may be; beyond it is set to its arrival."""
    late_after_ms: int = DAY_MS
    """How far behind its arrival an event is marked late."""


DEFAULT = Rules()
