"""Redis beside the stream: deferred deep links and nonces. May be lost at any time."""

from __future__ import annotations

from trackstream.storage.expiring import Expiring
from trackstream.storage.resting_redis import FAILED, TIMEOUT_S, RestingRedis

__all__ = ["RedisTouchCache"]

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

    def __init__(self, url: str | None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._redis = RestingRedis(url, timeout_s=timeout_s)
        self._links = Expiring[str](_LOCAL_ENTRIES)
        self._nonces = Expiring[bool](_LOCAL_ENTRIES)
        self._sights = Expiring[str](_LOCAL_ENTRIES)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.close()

    async def remember_touch(
        self, app_id: str, click_id: str, fingerprint: str | None, deep_link: str | None
    ) -> None:
        """Keep a click's deferred deep link, 7 days by its id, 24 hours by its fingerprint."""
        if deep_link is None:
            return
        keys = [(_click(app_id, click_id), _CLICK_TTL_S)]
        if fingerprint is not None:
            keys.append((_fingerprint(app_id, fingerprint), _FINGERPRINT_TTL_S))
        if self._redis.usable:
            async with self._redis.client.pipeline(transaction=False) as pipe:
                for key, ttl_s in keys:
                    pipe.set(key, deep_link, ex=ttl_s)
                if await self._redis.ask(pipe.execute()) is not FAILED:
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
        if keys and self._redis.usable:
            answer = await self._redis.ask(self._redis.client.mget(keys))
            if answer is not FAILED:
                found = [theirs or ours for theirs, ours in zip(answer, found, strict=True)]
        return next((link for link in found if link), None)

    async def first_use(self, nonce: str, ttl_s: int) -> bool:
        """True exactly once per nonce within `ttl_s` seconds (while down: per process)."""
        # Memory is asked in any case: it knows what was used while the server was away.
        if not self._nonces.put_new(nonce, True, ttl_s):
            return False
        if self._redis.usable:
            client = self._redis.client
            answer = await self._redis.ask(client.set(f"nonce:{nonce}", "1", ex=ttl_s, nx=True))
            if answer is not FAILED:
                return answer is not None
        return True

    async def earlier_click(self, sight: str, click_id: str, ttl_ms: int) -> str | None:
        """The click id that came with this sight in the last `ttl_ms`; None if this is the first.

        While the server is away: in this process.
        """
        name = f"sight:{sight}"
        if self._redis.usable:
            async with self._redis.client.pipeline(transaction=True) as pipe:
                pipe.set(name, click_id, px=ttl_ms, nx=True)
                pipe.get(name)
                answer = await self._redis.ask(pipe.execute())
            if answer is not FAILED:
                return None if answer[0] else answer[1]
        earlier = self._sights.get(name)
        if earlier is None:
            self._sights.put(name, click_id, ttl_ms / 1000)
        return earlier


def _click(app_id: str, click_id: str) -> str:
    return f"click:{app_id}:{click_id}"


def _fingerprint(app_id: str, fingerprint: str) -> str:
    return f"fp:{app_id}:{fingerprint}"
