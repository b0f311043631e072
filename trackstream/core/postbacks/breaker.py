"""A circuit breaker per destination: whoever fails all the time is left alone for a while.

Closed, everything passes. After some failures in a row it opens, and nothing passes. After a while
it is half open: one request passes, whose outcome closes it or opens it for twice as long.
Source: M. Nygard, "Release It!", chapter "Stability Patterns".
"""

from __future__ import annotations

import msgspec

__all__ = ["Breaker", "BreakerRules", "allowed", "failed", "started", "succeeded"]


class BreakerRules(msgspec.Struct, frozen=True, kw_only=True):
    """When it opens, and for how long."""

    failures: int = 5
    """In a row."""
    open_ms: int = 15_000
    """At first; doubles with each trial that fails."""
    max_open_ms: int = 15 * 60_000


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one destination."""

    failures: int = 0
    """In a row."""
    open_until_ms: int | None = None
    """None: closed."""
    openings: int = 0
    """In a row."""
    trial: bool = False
    """Whether the one request of the half-open state is under way."""


def allowed(breaker: Breaker, limit: int, *, now_ms: int) -> int:
    """How many more requests may start now; `limit` when it is closed."""
    if breaker.open_until_ms is None:
        return limit
    if now_ms < breaker.open_until_ms or breaker.trial:
        return 0
    return min(limit, 1)


def started(breaker: Breaker) -> Breaker:
    """A request that was allowed has started."""
    if breaker.open_until_ms is None:
        return breaker
    return msgspec.structs.replace(breaker, trial=True)


def succeeded(_breaker: Breaker) -> Breaker:
    """The destination has answered: closed, whatever was before."""
    return Breaker()


def failed(breaker: Breaker, *, now_ms: int, rules: BreakerRules) -> Breaker:
    """A request has failed.

    One that had started before it opened, and fails when it is open, changes nothing.
    """
    failures = breaker.failures + 1
    if breaker.open_until_ms is None and failures < rules.failures:
        return msgspec.structs.replace(breaker, failures=failures)
    if breaker.open_until_ms is not None and not breaker.trial:
        return breaker
    wait_ms = min(rules.max_open_ms, rules.open_ms << min(breaker.openings, 30))
    return Breaker(failures=failures, open_until_ms=now_ms + wait_ms, openings=breaker.openings + 1)
