"""What is decided: the records of `attributions`."""

from __future__ import annotations

from trackstream.core.records.base import Record
from trackstream.core.records.identity import Conversion, Touch

__all__ = ["Attribution", "Candidate", "Credit", "Earlier"]


class Candidate(Record, frozen=True, kw_only=True):
    """One touch that was considered, with what was decided of it and why."""

    touch: Touch
    identifier: str
    """The identifier by which it was found."""
    match_type: str
    """`click_` or `view_`, then `deterministic` or `probabilistic`."""
    confidence: float
    verdict: str
    """`chosen`, or why not: `older`, `lower_class`, `outside_window`, `fraud:` and its rule, …"""
    flags: list[str] = []
    """Fraud rules that noticed it and do not reject."""
    identifiers: list[str] = []
    """Every identifier by which it was found."""


class Earlier(Record, frozen=True, kw_only=True):
    """An earlier conversion that a decision took into account."""

    conversion_id: str
    kind: str
    at_ms: int
    identifiers: list[str]
    """Every identifier by which it was found."""


class Credit(Record, frozen=True, kw_only=True):
    """One touch's share of a conversion under one model."""

    model: str
    touch_id: str
    campaign_id: str | None = None
    channel: str | None = None
    share_millionths: int
    """The shares of one model sum to 1,000,000 exactly."""
    revenue_micros: int | None = None


class Attribution(Record, frozen=True, kw_only=True):
    """A decision, one record per revision: the value of `attributions`."""

    conversion_id: str
    revision: int
    app_id: str
    person: str
    subject: str
    kind: str
    event: str
    event_id: str
    at_ms: int
    decided_at_ms: int
    method: str
    """A match type, `organic`, `reinstall` or `inherited`."""
    confidence: float
    touch: Touch | None = None
    identifier: str | None = None
    window_ms: int | None = None
    reattribution: bool = False
    """A reinstall that is attributed anew, after long inactivity."""
    inherited_from: str | None = None
    """The conversion whose attribution this one takes over."""
    inherited_at_ms: int | None = None
    """When that conversion was."""
    candidates: list[Candidate] = []
    credits: list[Credit] = []
    """What every enabled multi-touch model gives to each touch."""
    unanswered: list[str] = []
    """Identifiers whose owner had not answered when the decision was made."""
    rules_version: str
    previous_method: str | None = None
    previous_touch_id: str | None = None
    country: str | None = None
    revenue_micros: int | None = None
    currency: str | None = None
    identifiers: list[str] = []
    """The conversion's own identifiers, preferred first."""
    conversion: Conversion | None = None
    """All that is known of the conversion itself: with the candidates and the earlier conversions,
    it can be decided again under other rules."""
    earlier: list[Earlier] = []
    """The earlier conversions that the decision took into account."""
