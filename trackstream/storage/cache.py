"""Redis beside the stream: deferred deep links and nonces. May be lost at any time."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from trackstream.storage.expiring import Expiring

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["RedisTouchCache"]

_log = logging.getLogger(__name__)

_TIMEOUT_S = 0.1
_REST_S = 1.0
"""How long a dead server is left alone, so that an outage costs callers one timeout a second."""

_CLICK_TTL_S = 7 * 24 * 3600
_FINGERPRINT_TTL_S = 24 * 3600  # the probabilistic window
_LOCAL_ENTRIES = 100_000


class RedisTouchCache:
    """`ports.TouchCache` on Redis or Valkey, with memory of its own for when that is away.

    Nothing here raises for a dead server; an outage is logged once.

    Args:
        url: `redis://…`; None: memory only, which one process does not share with another.
        timeout_s: Longest wait for the server, connecting included.
    """

    def __init__(self, url: str | None, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._redis: Any = None
        if url is not None:
            self._redis = redis.asyncio.from_url(
                url,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                decode_responses=True,
                retry=Retry(NoBackoff(), 1),  # a connection that the server closed while idle
            )
        self._links = Expiring[str](_LOCAL_ENTRIES)
        self._nonces = Expiring[bool](_LOCAL_ENTRIES)
        self._away_until = 0.0
        self._away = False

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()

    async def remember_touch(
        self, app_id: str, click_id: str, fingerprint: str | None, deep_link: str | None
    ) -> None:
        """Keep a click's deferred deep link, 7 days by its id, 24 hours by its fingerprint."""
        if deep_link is None:
            return
        keys = [(_click(app_id, click_id), _CLICK_TTL_S)]
        if fingerprint is not None:
            keys.append((_fingerprint(app_id, fingerprint), _FINGERPRINT_TTL_S))
        if self._usable():
            async with self._redis.pipeline(transaction=False) as pipe:
                for key, ttl_s in keys:
                    pipe.set(key, deep_link, ex=ttl_s)
                if await self._ask(pipe.execute()) is not _FAILED:
                    return
        for key, ttl_s in keys:
            self._links.put(key, deep_link, ttl_s)

    async def deep_link(
        self, app_id: str, click_id: str | None, fingerprint: str | None
    ) -> str | None:
        """The deep link of that click, else of the newest with that fingerprint, else None."""
        keys = [
            key
            for key in (
                click_id and _click(app_id, click_id),
                fingerprint and _fingerprint(app_id, fingerprint),
            )
            if key
        ]
        found: list[str | None] = [self._links.get(key) for key in keys]
        if keys and self._usable():
            answer = await self._ask(self._redis.mget(keys))
            if answer is not _FAILED:
                found = [theirs or ours for theirs, ours in zip(answer, found, strict=True)]
        return next((link for link in found if link), None)

    async def first_use(self, nonce: str, ttl_s: int) -> bool:
        """True exactly once per nonce within `ttl_s` seconds (while down: per process)."""
        # Memory is asked in any case: it knows what was used while the server was away.
        if not self._nonces.put_new(nonce, True, ttl_s):
            return False
        if self._usable():
            answer = await self._ask(self._redis.set(f"nonce:{nonce}", "1", ex=ttl_s, nx=True))
            if answer is not _FAILED:
                return answer is not None
        return True

    def _usable(self) -> bool:
        return self._redis is not None and time.monotonic() >= self._away_until

    async def _ask(self, call: Awaitable[Any]) -> Any:
        """The server's answer, or `_FAILED`."""
        try:
            answer = await call
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + _REST_S
            if not self._away:
                self._away = True
                _log.warning("Redis does not answer, going on without it: %r", error)
            return _FAILED
        if self._away:
            self._away = False
            _log.info("Redis answers again")
        return answer


_FAILED = object()


def _click(app_id: str, click_id: str) -> str:
    return f"click:{app_id}:{click_id}"


def _fingerprint(app_id: str, fingerprint: str) -> str:
    return f"fp:{app_id}:{fingerprint}"
