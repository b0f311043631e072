"""Token buckets that all processes share through Redis, without asking it for every request.

A process asks for tokens ahead, a fiftieth of a second's worth, and those that it has not spent
after a second are lost. In each second it may spend a hundredth of a second's worth before it asks,
for most addresses send no more than that; it is paid with the first tokens that are asked for. So a
bucket gives what it has and no more, but for this credit of processes that have not asked. There is
no credit below 100 a second.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from trackstream.storage.resting_redis import FAILED, TIMEOUT_S, RestingRedis

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Allowance", "Limits", "Rate"]

_KEPT = 100_000
_LEASE_S = 1.0
_LEASE_FRACTION = 0.02
_CREDIT_FRACTION = 0.01

_SCRIPT = """
local rate, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local want, owed = tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = capacity
if kept[1] then
    local passed = math.max(0, now - tonumber(kept[2]))
    tokens = math.min(capacity, tonumber(kept[1]) + passed * rate)
end
tokens = tokens - owed
local granted = math.max(0, math.min(want, math.floor(tokens)))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens),
    'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(capacity / rate * 1000) + 1000)
return {granted, string.format('%.6f', tokens)}
"""
"""A token bucket by the server's own clock: `{granted, tokens left}`."""


class Rate(NamedTuple):
    """What a bucket gives: tokens a second, and how many it holds."""

    per_s: int
    capacity: int


class Allowance(msgspec.Struct, frozen=True):
    """Whether something may be done, and when more may be."""

    allowed: bool
    remaining: int
    """Tokens that were left when the bucket was last looked at."""
    wait_s: float
    """Until there is a token; 0 if there is one."""


@dataclass(slots=True)
class _Held:
    """What this process has of a bucket."""

    tokens: int = 0
    lease_ends_s: float = 0.0
    owed: int = 0
    credit: int = 0
    credit_ends_s: float = 0.0
    denied_until_s: float = 0.0
    remaining: int = 0
    asking: asyncio.Future[None] | None = None
    own: tuple[float, float] | None = None
    """Tokens and when, while Redis is away."""


class Limits:
    """The buckets of one process.

    While Redis is away each process goes by a bucket of its own.

    Args:
        url: Redis or Valkey; None: the processes know nothing of each other.
        timeout_s: Longest wait for it.
        clock_s: Monotonic seconds.
    """

    def __init__(
        self,
        url: str | None,
        *,
        timeout_s: float = TIMEOUT_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = RestingRedis(url, timeout_s=timeout_s)
        self._script = self._redis.client.register_script(_SCRIPT) if url is not None else None
        self._clock_s = clock_s
        self._held: OrderedDict[str, _Held] = OrderedDict()

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.close()

    def take_at_once(self, name: str, rate: Rate) -> Allowance | None:
        """One token of the bucket with this name; None if it has to be waited for (`take`)."""
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = _Held()
            if len(self._held) > _KEPT:
                self._held.popitem(last=False)
        now_s = self._clock_s()
        if now_s >= held.credit_ends_s:
            held.owed, held.credit = 0, int(rate.per_s * _CREDIT_FRACTION)
            held.credit_ends_s = now_s + _LEASE_S
            self._held.move_to_end(name)
        if held.tokens and now_s < held.lease_ends_s:
            held.tokens -= 1
            return Allowance(True, held.remaining + held.tokens, 0)
        if now_s < held.denied_until_s:
            return Allowance(False, 0, held.denied_until_s - now_s)
        if held.asking is None and held.credit and self._redis.usable:
            held.credit -= 1
            held.owed += 1
            return Allowance(True, rate.capacity, 0)
        return None

    async def take(self, name: str, rate: Rate) -> Allowance:
        """One token of the bucket with this name."""
        while True:
            allowance = self.take_at_once(name, rate)
            if allowance is not None:
                return allowance
            held = self._held[name]
            if held.asking is not None:
                await asyncio.shield(held.asking)
            else:
                await self._ask(name, held, rate)

    async def _ask(self, name: str, held: _Held, rate: Rate) -> None:
        """Get tokens, or know until when there are none; others wait for the same answer."""
        asking = held.asking = asyncio.get_running_loop().create_future()
        want = max(1, min(int(rate.per_s * _LEASE_FRACTION), rate.capacity // 10))
        owed, held.owed = held.owed, 0
        try:
            answer: Any = FAILED
            if self._script is not None and self._redis.usable:
                answer = await self._redis.ask(
                    self._script(
                        keys=[f"limit:{name}"], args=[rate.per_s, rate.capacity, want, owed]
                    )
                )
            now_s = self._clock_s()
            if answer is FAILED:
                granted, left = _own(held, rate, want, now_s)
            else:
                granted, left = int(answer[0]), float(answer[1])
                held.own = None
            held.tokens, held.remaining = granted, max(0, math.floor(left))
            held.lease_ends_s = now_s + _LEASE_S
            if not granted:
                held.denied_until_s = now_s + (1 - left) / rate.per_s
        finally:
            held.asking = None
            asking.set_result(None)


def _own(held: _Held, rate: Rate, want: int, now_s: float) -> tuple[int, float]:
    """The same bucket in this process's memory: what it grants, what is left."""
    tokens, at_s = held.own or (float(rate.capacity), now_s)
    tokens = min(float(rate.capacity), tokens + (now_s - at_s) * rate.per_s)
    granted = min(want, math.floor(tokens))
    held.own = (tokens - granted, now_s)
    return granted, tokens - granted
