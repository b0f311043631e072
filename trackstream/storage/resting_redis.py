"""Redis that may be away: asked again a second after it has failed, never waited for long."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["FAILED", "TIMEOUT_S", "RestingRedis"]

_log = logging.getLogger(__name__)

TIMEOUT_S = 0.1
_REST_S = 1.0
"""How long a dead server is left alone, so that an outage costs callers one timeout a second."""

FAILED = object()
"""The answer of a server that gave none."""


class RestingRedis:
    """A client of Redis or Valkey whose failures are answers. An outage is logged once.

    Args:
        url: `redis://…`; None: there is none, and it is never usable.
        timeout_s: Longest wait for the server, connecting included.
    """

    def __init__(self, url: str | None, *, timeout_s: float = TIMEOUT_S) -> None:
        self.client: Any = None
        if url is not None:
            self.client = redis.asyncio.from_url(
                url,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                decode_responses=True,
                retry=Retry(NoBackoff(), 1),  # a connection that the server closed while idle
            )
        self._away_until = 0.0
        self._away = False

    @property
    def usable(self) -> bool:
        """Whether it is worth asking now."""
        return self.client is not None and time.monotonic() >= self._away_until

    async def close(self) -> None:
        """Close the connections."""
        if self.client is not None:
            await self.client.aclose()

    async def ask(self, call: Awaitable[Any]) -> Any:
        """The server's answer to a call of `client`, or `FAILED`."""
        try:
            answer = await call
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + _REST_S
            if not self._away:
                self._away = True
                _log.warning("Redis does not answer, going on without it: %r", error)
            return FAILED
        if self._away:
            self._away = False
            _log.info("Redis answers again")
        return answer
