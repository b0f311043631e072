"""Who gets in: behind which proxies, from which networks, and how often."""

from __future__ import annotations

import ipaddress
import math
from typing import TYPE_CHECKING

from trackstream.core.reasons import Reason
from trackstream.http.client import client_ip
from trackstream.http.cors import show_to_origin
from trackstream.http.forwarding import origin_of
from trackstream.http.networks import Networks
from trackstream.http.problems import Refusal, Verdict, problem_response, settled
from trackstream.storage.limits import Allowance, Limits, Rate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from trackstream.http.steps import Parts
    from trackstream.settings import Settings

__all__ = ["Guard", "guarded"]


class Guard:
    """The rules of one process.

    Args:
        settings: networks, proxies, limits.
        limits: the buckets; None: those of this process alone.
    """

    def __init__(self, settings: Settings, limits: Limits | None = None) -> None:
        self._limits = limits or Limits(None)
        self._blocked = Networks(settings.blocked_networks)
        self._allowed = Networks(settings.allowed_networks)
        self._trusted = Networks(settings.trusted_proxies)
        self._header = settings.trusted_proxy_header
        self._burst_s = settings.rate_limit_burst_s
        self._per_key = _rate(settings.rate_limit_key_per_s, settings.rate_limit_burst_s)
        self._per_ip = _rate(settings.rate_limit_ip_per_s, settings.rate_limit_burst_s)

    def seen(self, request: web.Request) -> web.Request | Refusal:
        """The request as its client sent it to the outermost trusted proxy."""
        if not self._trusted:
            return request
        origin = origin_of(request, trusted=self._trusted, header=self._header)
        if origin is None:
            return request
        if isinstance(origin, Refusal):
            return origin
        return request.clone(
            remote=origin.address,
            scheme=origin.scheme or request.scheme,
            host=origin.host or request.host,
        )

    def admit(self, request: web.Request) -> Verdict:
        """Whether the address may send now."""
        address = client_ip(request)
        if address is None or address in self._allowed:
            return None
        if address in self._blocked:
            return Refusal(Reason.FORBIDDEN, "nothing is taken from this address")
        if self._per_ip is None:
            return None
        return self._limited("ip", _site(address), self._per_ip)

    def admit_key(self, key_id: str) -> Verdict:
        """Whether the key may be used now."""
        if self._per_key is None:
            return None
        return self._limited("key", key_id, self._per_key)

    def _limited(self, policy: str, name: str, rate: Rate) -> Verdict:
        allowance = self._limits.take_at_once(f"{policy}:{name}", rate)
        if allowance is None:
            return self._limited_later(policy, name, rate)
        return self._refusal(allowance, policy, rate)

    async def _limited_later(self, policy: str, name: str, rate: Rate) -> Refusal | None:
        return self._refusal(await self._limits.take(f"{policy}:{name}", rate), policy, rate)

    def _refusal(self, allowance: Allowance, policy: str, rate: Rate) -> Refusal | None:
        """None, or a refusal with the fields of draft-ietf-httpapi-ratelimit-headers-09."""
        if allowance.allowed:
            return None
        wait_s = max(1, math.ceil(allowance.wait_s))
        return Refusal(
            Reason.RATE_LIMITED,
            f"more than {rate.per_s} requests a second with one {policy}",
            retry_after_s=wait_s,
            headers=(
                ("RateLimit-Policy", f'"{policy}";q={rate.capacity};w={self._burst_s}'),
                ("RateLimit", f'"{policy}";r=0;t={wait_s}'),
            ),
        )


def guarded(
    handler: Callable[[web.Request], Awaitable[web.Response]], parts: Parts
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler for those who are let in, who see the request as its client sent it."""
    guard = parts.guard
    if guard is None:
        return handler

    async def handle(request: web.Request) -> web.Response:
        seen = guard.seen(request)
        if isinstance(seen, Refusal):
            refusal: Refusal | None = seen
        else:
            request, verdict = seen, guard.admit(seen)
            refusal = None if verdict is None else await settled(verdict)
        if refusal is None:
            return await handler(request)
        parts.metrics.refusals.add((refusal.reason,))
        response = problem_response(refusal)
        if refusal.reason is not Reason.FORBIDDEN:
            show_to_origin(request, response)
        return response

    return handle


def _rate(per_s: int, burst_s: int) -> Rate | None:
    return Rate(per_s, per_s * burst_s) if per_s else None


def _site(address: str) -> str:
    """What is limited: an IPv4 address, or the network of IPv6 that one household has."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False).network_address)
