"""What an answer means, when a postback is tried again, and when it is given up."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

__all__ = ["DEFAULT", "Outcome", "RetryPolicy", "Settled", "delay_ms", "judged", "settled"]

DAY_MS = 24 * 3_600_000

_TRY_AGAIN = frozenset({408, 425, 429})


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How patient we are: by default twenty tries within three days."""

    base_ms: int = 5_000
    cap_ms: int = 4 * 3_600_000
    max_tries: int = 20
    max_age_ms: int = 3 * DAY_MS


DEFAULT = RetryPolicy()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request."""

    kind: str
    """`delivered`; `retry`: not taken, or not sent at all; `refused`: never will be taken;
    `uncertain`: sent, and no answer came."""
    reason: str
    """In a few words, for people."""
    retry_after_ms: int | None = None
    """How long the receiver asks to be left alone."""


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of the postback."""

    state: str
    """`sent`, `due` (again), `dead`, or `unknown`: perhaps it was sent, so it is not again."""
    reason: str
    due_at_ms: int | None = None


def judged(status: int, *, retry_after: str | None, now_ms: int) -> Outcome:
    """What a status means: 2xx is taken; 408, 425, 429 and 5xx are worth another try.

    Args:
        status: Of the answer. Redirects are not followed, so 3xx is a refusal.
        retry_after: The header, in seconds or as a date (RFC 9110, section 10.2.3).
        now_ms: Epoch milliseconds.
    """
    reason = f"HTTP {status}"
    if 200 <= status < 300:
        return Outcome(kind="delivered", reason=reason)
    if status in _TRY_AGAIN or status >= 500:
        wait_ms = _retry_after_ms(retry_after, now_ms)
        return Outcome(kind="retry", reason=reason, retry_after_ms=wait_ms)
    if 300 <= status < 400:
        reason += ": redirects are not followed"
    return Outcome(kind="refused", reason=reason)


def delay_ms(tries: int, *, unit: float, policy: RetryPolicy = DEFAULT) -> int:
    """How long to wait after that many tries: anything up to a bound that doubles ("full jitter").

    Source: Amazon Builders' Library, "Timeouts, retries, and backoff with jitter".

    Args:
        tries: So far, from 1.
        unit: Random, in [0, 1).
        policy: Base and cap of the bound.
    """
    bound_ms = min(policy.cap_ms, policy.base_ms << min(tries - 1, 40))
    return int(bound_ms * unit)


def settled(
    outcome: Outcome,
    *,
    tries: int,
    queued_at_ms: int,
    now_ms: int,
    unit: float,
    on_uncertain: str,
    policy: RetryPolicy = DEFAULT,
) -> Settled:
    """What follows from an outcome.

    Args:
        outcome: Of the last try.
        tries: How many there were, this one included.
        queued_at_ms: When the postback was due for the first time.
        now_ms: Epoch milliseconds.
        unit: Random, in [0, 1); see `delay_ms`.
        on_uncertain: The destination's; see `Destination.on_uncertain`.
        policy: How often and how long.
    """
    if outcome.kind == "delivered":
        return Settled(state="sent", reason=outcome.reason)
    if outcome.kind == "refused":
        return Settled(state="dead", reason=outcome.reason)
    if outcome.kind == "uncertain" and on_uncertain != "resend":
        return Settled(state="unknown", reason=outcome.reason)
    if tries >= policy.max_tries:
        return Settled(state="dead", reason=f"{outcome.reason}; given up after {tries} tries")
    wait_ms = max(delay_ms(tries, unit=unit, policy=policy), outcome.retry_after_ms or 0)
    if now_ms + wait_ms > queued_at_ms + policy.max_age_ms:
        hours = policy.max_age_ms // 3_600_000
        return Settled(state="dead", reason=f"{outcome.reason}; given up after {hours} hours")
    return Settled(state="due", reason=outcome.reason, due_at_ms=now_ms + wait_ms)


def _retry_after_ms(text: str | None, now_ms: int) -> int | None:
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text) * 1000
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # A date without a zone, which the RFC knows none of, is taken as GMT, as all others are.
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0, int(at.timestamp() * 1000) - now_ms)
