"""Questions to Redis that go together.

A round trip with redis-py costs a hundred microseconds of CPU, most of it not for the question
itself. So all that comes while one question is on its way goes as the next one, as a
script that loops over the items: the busier, the cheaper.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from trackstream.storage.resting_redis import FAILED

if TYPE_CHECKING:
    from trackstream.storage.resting_redis import RestingRedis

__all__ = ["CLAIM", "DROP", "PUT", "Item", "Together"]

_MOST = 200
"""Items of one question: while a script runs, Redis does nothing else."""

CLAIM = """
local found = {}
for i, key in ipairs(KEYS) do
    local value, ttl_ms = ARGV[2 * i - 1], ARGV[2 * i]
    found[i] = not redis.call('SET', key, value, 'PX', ttl_ms, 'NX') and redis.call('GET', key)
end
return found
"""
"""Keeps a value under a key that has none; answers what was there before, or None."""

PUT = """
for i, key in ipairs(KEYS) do
    redis.call('SET', key, ARGV[2 * i - 1], 'PX', ARGV[2 * i])
end
return KEYS
"""
"""Keeps a value under a key; the answer means nothing."""

DROP = """
for i, key in ipairs(KEYS) do
    if redis.call('GET', key) == ARGV[2 * i - 1] then redis.call('DEL', key) end
end
return KEYS
"""
"""Forgets a key that has this value; the answer means nothing."""


class Item(NamedTuple):
    """A key and what to keep there for so many milliseconds."""

    key: str
    value: str
    ttl_ms: int


class Together:
    """One kind of question.

    Args:
        redis: who is asked.
        script: `CLAIM`, `PUT` or `DROP`.
    """

    def __init__(self, redis: RestingRedis, script: str) -> None:
        self._redis = redis
        self._script = None if redis.client is None else redis.client.register_script(script)
        self._waiting: list[tuple[Item, asyncio.Future[Any]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Any:
        """The script's answer for this item, or `FAILED`."""
        if self._script is None or not self._redis.usable:
            return FAILED
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answered))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await answered

    async def close(self) -> None:
        """Wait for the question that is on its way."""
        if self._asking is not None:
            await self._asking

    async def _ask_all(self) -> None:
        waiting: list[tuple[Item, asyncio.Future[Any]]] = []
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                answers = await self._asked([item for item, _ in waiting])
                for (_, answered), answer in zip(waiting, answers, strict=True):
                    if not answered.done():
                        answered.set_result(answer)
        finally:
            self._asking = None
            for _, answered in [*waiting, *self._waiting]:
                if not answered.done():  # only if this was cancelled, or failed as it never should
                    answered.set_result(FAILED)
            self._waiting = []

    async def _asked(self, items: list[Item]) -> list[Any]:
        if self._script is None:
            raise RuntimeError("nobody can be asked")
        args = [part for item in items for part in (item.value, item.ttl_ms)]
        answer = await self._redis.ask(self._script(keys=[item.key for item in items], args=args))
        return [FAILED] * len(items) if answer is FAILED else answer
