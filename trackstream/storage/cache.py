"""Redis beside the stream: deferred deep links and nonces. May be lost at any time."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets

from trackstream.storage.expiring import Expiring
from trackstream.storage.resting_redis import FAILED, TIMEOUT_S, RestingRedis
from trackstream.storage.together import CLAIM, DROP, PUT, Item, Together
from trackstream.storage.used import UsedOnce

__all__ = ["RedisTouchCache"]

_log = logging.getLogger(__name__)

_CLICK_TTL_S = 7 * 24 * 3600
_LOCAL_ENTRIES = 100_000
_LOCAL_NONCES = 1_000_000
"""70 MB at most: 1,500 signed requests a second."""
_PATIENCE_S = 1.0
"""How long Redis is waited for when it alone can tell."""


class RedisTouchCache:
    """`ports.TouchCache` on Redis or Valkey, with memory of its own for when that is away.

    Nothing here raises for a dead server; an outage is logged once.

    Args:
        url: `redis://…`; None: memory only, which one process does not share with another.
        timeout_s: Longest wait for the server, connecting included.
    """

    def __init__(self, url: str | None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._redis = RestingRedis(url, timeout_s=timeout_s)
        self._claims = Together(self._redis, CLAIM)
        self._puts = Together(self._redis, PUT)
        self._drops = Together(self._redis, DROP)
        self._patient_redis = RestingRedis(url, timeout_s=max(timeout_s, _PATIENCE_S))
        self._patient_claims = Together(self._patient_redis, CLAIM)
        self._claimant, self._claim_numbers = secrets.token_hex(8), itertools.count()
        self._links = Expiring[str](_LOCAL_ENTRIES)
        self._nonces = UsedOnce(_LOCAL_NONCES)
        self._sights = Expiring[str](_LOCAL_ENTRIES)

    async def close(self) -> None:
        """Close the connections."""
        await self._claims.close()
        await self._patient_claims.close()
        await self._puts.close()
        await self._drops.close()
        await self._redis.close()
        await self._patient_redis.close()

    async def remember_touch(
        self,
        app_id: str,
        click_id: str,
        fingerprint: str | None,
        deep_link: str | None,
        *,
        guess_ms: int,
    ) -> None:
        """Keep a click's deferred deep link, 7 days by its id, `guess_ms` by its fingerprint."""
        if deep_link is None:
            return
        items = [Item(_click(app_id, click_id), deep_link, _CLICK_TTL_S * 1000)]
        if fingerprint is not None and guess_ms > 0:
            items.append(Item(_fingerprint(app_id, fingerprint), deep_link, guess_ms))
        answers = await asyncio.gather(*map(self._puts.ask, items))
        if FAILED in answers:
            for item in items:
                self._links.put(item.key, deep_link, item.ttl_ms / 1000)

    async def deep_link(
        self, app_id: str, click_id: str | None, fingerprint: str | None
    ) -> str | None:
        """The deep link of that click, or, if none is named, of the newest with that fingerprint.

        Who names a click that is not known gets no other's.
        """
        if click_id is not None:
            key = _click(app_id, click_id)
        elif fingerprint is not None:
            key = _fingerprint(app_id, fingerprint)
        else:
            return None
        if self._redis.usable:
            answer: str | None = await self._redis.ask(self._redis.client.get(key))
            if answer is not FAILED and answer is not None:
                return answer
        return self._links.get(key)

    async def first_use(self, nonce: str, ttl_s: int) -> bool | None:
        """True once per nonce within `ttl_s` seconds, None if it cannot be known.

        While the server is away: per process, as long as its memory holds all of them. If it does
        not, a server that is only late is waited for.
        """
        # Memory is asked in any case: it knows what was used while the server was away.
        if nonce in self._nonces:
            return False
        was_whole = self._nonces.whole
        if not self._nonces.add(nonce, ttl_s) and was_whole:
            _log.warning(
                "more signed requests come than memory has room for: while Redis is away they will "
                "be answered 503"
            )
        # a claim may be made twice, over a break or where the answer was too late: by its value
        # it is known as one's own
        claim = f"{self._claimant}-{next(self._claim_numbers)}"
        item = Item(f"nonce:{nonce}", claim, ttl_s * 1000)
        answer = await self._claims.ask(item)
        if answer is FAILED:
            if self._nonces.whole:
                return True
            answer = await self._patient_claims.ask(item)
        return None if answer is FAILED else answer in {None, claim}

    async def earlier_click(self, sight: str, click: str, ttl_ms: int) -> str | None:
        """The click that came with this sight in the last `ttl_ms`; None if this is the first.

        While the server is away: in this process.
        """
        name = _sight(sight)
        answer: str | None = await self._claims.ask(Item(name, click, ttl_ms))
        if answer is not FAILED:
            return answer if answer != click else None  # a claim that was made twice, over a break
        earlier = self._sights.get(name)
        if earlier is None:
            self._sights.put(name, click, ttl_ms / 1000)
        return earlier

    async def forget_click(self, sight: str, click: str) -> None:
        """Remember this one no longer; another with its sight stays."""
        name = _sight(sight)
        if self._sights.get(name) == click:
            self._sights.drop(name)
        await self._drops.ask(Item(name, click, 0))


def _click(app_id: str, click_id: str) -> str:
    return f"click:{app_id}:{click_id}"


def _sight(sight: str) -> str:
    return f"sight:{sight}"


def _fingerprint(app_id: str, fingerprint: str) -> str:
    return f"fp:{app_id}:{fingerprint}"
