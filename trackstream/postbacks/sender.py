"""Takes what is due and sends it: so many at once for each destination, none while it fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from trackstream.core.postbacks.breaker import (
    Breaker,
    BreakerRules,
    allowed,
    failed,
    started,
    succeeded,
)
from trackstream.core.postbacks.destinations import Request
from trackstream.core.postbacks.outcomes import DEFAULT, Outcome, RetryPolicy, settled
from trackstream.postbacks.outbox import Taken, resolve_orphans, settle, take
from trackstream.storage.errors import StorageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from trackstream.postbacks.client import Client
    from trackstream.postbacks.destinations import Destinations, Listed

__all__ = ["Sender", "SenderTimes"]

_log = logging.getLogger(__name__)

_FAILURES = frozenset({"retry", "uncertain"})
_MAX_AT_ONCE = 256

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class SenderTimes:
    """How the sender spends its time.

    Attributes:
        poll_s: How often it looks for what is due, if nobody wakes it.
        lease_s: After so long a request that was begun has surely ended, or its sender has died;
            longer than the client's timeout.
        orphans_s: How often it looks for those.
        pause_s: Between tries to reach PostgreSQL.
    """

    poll_s: float = 0.5
    lease_s: float = 60.0
    orphans_s: float = 10.0
    pause_s: float = 0.5


@dataclass(slots=True)
class _Lane:
    """One destination's requests."""

    listed: Listed
    breaker: Breaker = field(default_factory=Breaker)
    under_way: int = 0


class Sender:
    """One process's sender; any number of them share an outbox.

    Args:
        engine: The database, migrated.
        destinations: Whom to tell.
        client: Open for as long as `run` runs.
        policy: How patient to be with a destination.
        breaker: When to leave one alone.
        times: See there.
        unit: Random numbers in [0, 1).
    """

    def __init__(
        self,
        engine: Engine,
        destinations: Destinations,
        client: Client,
        *,
        policy: RetryPolicy = DEFAULT,
        breaker: BreakerRules | None = None,
        times: SenderTimes | None = None,
        unit: Callable[[], float] = random.random,
    ) -> None:
        self._engine = engine
        self._destinations = destinations
        self._client = client
        self._policy = policy
        self._rules = breaker or BreakerRules()
        self._times = times or SenderTimes()
        self._unit = unit
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._awake = asyncio.Event()
        self._orphans_at_s = 0.0

    def wake(self) -> None:
        """There may be something to send."""
        self._awake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set; then what is under way is waited for.

        Raises:
            StorageError: PostgreSQL refuses what is done here (not migrated, no rights).
        """
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self.wake())
        away = False
        try:
            while not stop.is_set():
                self._awake.clear()
                try:
                    busy = await self._step()
                except StorageUnavailableError as error:
                    if not away:
                        _log.warning("postbacks wait: %s", error)
                    away, busy = True, False
                else:
                    away = False
                if not busy:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._awake.wait(), self._times.poll_s)
        finally:
            stopping.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def _step(self) -> bool:
        """Take and begin what there is room for; True if there may be more at once."""
        now_s = time.monotonic()
        if now_s >= self._orphans_at_s:
            self._orphans_at_s = now_s + self._times.orphans_s
            left = await asyncio.to_thread(
                lambda: resolve_orphans(
                    self._engine, now_ms=_now_ms(), policy=self._policy, unit=self._unit
                )
            )
            if left:
                _log.warning("%d postbacks were left behind by a sender that died", left)
        await self._refresh()
        room = self._room()
        lease_ms = int(self._times.lease_s * 1000)
        taken = await asyncio.to_thread(
            lambda: take(self._engine, room, now_ms=_now_ms(), lease_ms=lease_ms)
        )
        for one in taken:
            lane = self._lanes[one.destination_id]
            lane.breaker = started(lane.breaker)
            lane.under_way += 1
            task = asyncio.create_task(self._send(one, lane))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return bool(taken)

    def _room(self) -> dict[str, int]:
        now_ms, left = _now_ms(), _MAX_AT_ONCE - len(self._tasks)
        room: dict[str, int] = {}
        for its_id, lane in self._lanes.items():
            spare = lane.listed.destination.max_concurrency - lane.under_way
            count = min(left, allowed(lane.breaker, spare, now_ms=now_ms))
            if count > 0:
                room[its_id] = count
                left -= count
        return room

    async def _refresh(self) -> None:
        listed = await asyncio.to_thread(self._destinations.active)
        lanes = {}
        for one in listed:
            its_id = one.destination.destination_id
            lane = self._lanes.get(its_id) or _Lane(one)
            lane.listed = one
            lanes[its_id] = lane
        self._lanes = lanes

    async def _send(self, taken: Taken, lane: _Lane) -> None:
        destination = lane.listed.destination
        try:
            outcome = await self._client.send(
                Request(method=taken.method, url=taken.url, body=taken.body),
                postback_id=taken.postback_id,
                secret=lane.listed.secret,
            )
        finally:
            lane.under_way -= 1
        now_ms = _now_ms()
        lane.breaker = self._judged(lane, outcome, now_ms)
        result = settled(
            outcome,
            tries=taken.tries,
            queued_at_ms=taken.queued_at_ms,
            now_ms=now_ms,
            unit=self._unit(),
            on_uncertain=destination.on_uncertain,
            policy=self._policy,
        )
        if result.state in {"dead", "unknown"}:
            _log.warning("%s to %s is %s", taken.postback_id, destination.name, result)
        await self._persisted(lambda: settle(self._engine, taken, result, now_ms=now_ms))

    def _judged(self, lane: _Lane, outcome: Outcome, now_ms: int) -> Breaker:
        if outcome.kind not in _FAILURES:
            return succeeded(lane.breaker)
        after = failed(lane.breaker, now_ms=now_ms, rules=self._rules)
        if after.openings > lane.breaker.openings:
            _log.warning(
                "%s is left alone for a while: %s", lane.listed.destination.name, outcome.reason
            )
        return after

    async def _persisted(self, call: Callable[[], _T]) -> _T | None:
        """The call's result; None if PostgreSQL is away for longer than the lease."""
        until_s = time.monotonic() + self._times.lease_s
        while True:
            try:
                return await asyncio.to_thread(call)
            except StorageUnavailableError as error:
                if time.monotonic() > until_s:
                    _log.warning("what became of a postback is not noted: %s", error)
                    return None
                await asyncio.sleep(self._times.pause_s)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a postback's outcome was not noted", exc_info=task.exception())
        self.wake()


def _now_ms() -> int:
    return int(time.time() * 1000)
