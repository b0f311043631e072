"""The thread that sends what is queued, until each event has its verdict."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackstream_client.answers import Action, judge, unsent
from trackstream_client.errors import ClientClosedError, EventTooLargeError, QueueFullError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackstream_client.answers import Queued, Verdict
    from trackstream_client.posting import Poster
    from trackstream_client.queues import Queue
    from trackstream_client.retries import Retries

__all__ = ["Bounds", "Sender"]

_log = logging.getLogger("trackstream_client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Of batches and of the queue; see `Client`."""

    batch_events: int
    batch_bytes: int
    flush_every_s: float
    queue_events: int
    queue_bytes: int
    wait_for_room_s: float


class Sender:
    """Takes events and sends them, in their order, from a thread of its own.

    Args:
        queue: where they wait.
        poster: one try to send some.
        bounds: of batches and queue.
        retries: the waits between tries.
        tell: is told each verdict, in the thread; what it raises is logged.
    """

    def __init__(
        self,
        queue: Queue,
        poster: Poster,
        *,
        bounds: Bounds,
        retries: Retries,
        tell: Callable[[Verdict], None],
    ) -> None:
        self._queue, self._poster = queue, poster
        self._bounds, self._retries, self._tell = bounds, retries, tell
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._put = self._settled = 0
        self._flushed = 0
        """As many of those that were put are to go at once."""
        self._due_s = time.monotonic()
        self._closing = self._abandoned = False
        if len(queue):
            self._put = self._flushed = len(queue)
            with self._changed:
                self._start()

    def put(self, event: Queued) -> None:
        """Queue an event; see `Client.track` for what is raised."""
        bounds = self._bounds
        if len(event.body) > bounds.batch_bytes:
            raise EventTooLargeError(
                f"the event has {len(event.body)} bytes, and a request {bounds.batch_bytes} at most"
            )
        with self._changed:
            if not self._closing and not self._has_room(event):
                self._changed.wait_for(
                    lambda: self._closing or self._has_room(event), bounds.wait_for_room_s
                )
            if self._closing:
                raise ClientClosedError("the client is closed")
            if not self._has_room(event):
                raise QueueFullError(f"{len(self._queue)} events wait to be sent")
            if not len(self._queue):
                self._due_s = time.monotonic() + bounds.flush_every_s
            self._queue.put(event)
            self._put += 1
            if self._thread is None:
                self._start()
            if len(self._queue) == 1 or self._is_full():
                self._changed.notify_all()

    def flush(self, timeout_s: float | None) -> bool:
        """Whether all that was put before has its verdict, within the time."""
        with self._changed:
            target = self._flushed = self._put
            self._changed.notify_all()
            return (
                self._changed.wait_for(
                    lambda: self._settled >= target or self._abandoned, timeout_s
                )
                and self._settled >= target
            )

    def close(self, timeout_s: float | None) -> int:
        """Take nothing more, send what there is within the time; how many were not sent."""
        with self._changed:
            if self._closing:
                return len(self._queue)
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is None:
            return self._end()
        thread.join(timeout_s)
        if thread.is_alive():
            with self._changed:
                self._abandoned = True
                self._changed.notify_all()
            self._poster.abort()
            thread.join(1.0)  # it has only to see that it is to end; a callback may keep it
        return self._end()

    def forked(self) -> None:
        """Begin anew in a process that is a copy: its lock may be held, its thread is not there."""
        self._changed = threading.Condition()
        self._thread = None
        self._put = self._settled = self._flushed = 0
        self._queue.forked()
        self._poster.forget()

    def _end(self) -> int:
        """What is left is told, unless the queue keeps it."""
        with self._changed:
            left = len(self._queue)
            if left and not self._queue.keeps:
                self._tell_all(unsent(self._queue.head(left, self._queue.size_bytes + left)))
            self._queue.close()
        return left

    def _start(self) -> None:
        # A daemon, so that a program that forgets to close can end: atexit closes then.
        self._thread = threading.Thread(target=self._run, name="trackstream-client", daemon=True)
        self._thread.start()

    def _has_room(self, event: Queued) -> bool:
        queue, bounds = self._queue, self._bounds
        full = len(queue) >= bounds.queue_events
        return not full and queue.size_bytes + len(event.body) <= bounds.queue_bytes

    def _is_full(self) -> bool:
        """Whether a batch is."""
        queue, bounds = self._queue, self._bounds
        return len(queue) >= bounds.batch_events or queue.size_bytes >= bounds.batch_bytes

    def _run(self) -> None:
        try:
            self._send_all()
        finally:
            self._poster.close()

    def _send_all(self) -> None:
        failures = 0
        while True:
            try:
                batch = self._next()
                if not batch:
                    return
                self._send(batch)
                failures = 0
            except Exception:  # noqa: BLE001 - the queue's disk, say; the events are in it still
                failures += 1
                _log.exception("sending failed, and is tried again")
                if not self._wait(failures):
                    return

    def _next(self) -> list[Queued]:
        """The next batch, once it is full, or old enough, or asked for; none at the end."""
        bounds = self._bounds
        with self._changed:
            while not self._abandoned:
                wait_s: float | None = None
                if len(self._queue):
                    wait_s = self._due_s - time.monotonic()
                    asked_for = self._closing or self._settled < self._flushed
                    if wait_s <= 0 or asked_for or self._is_full():
                        return self._queue.head(bounds.batch_events, bounds.batch_bytes)
                elif self._closing:
                    return []
                self._changed.wait(wait_s)
        return []

    def _send(self, batch: Sequence[Queued]) -> None:
        """Send it until each event has its verdict, or the client is closed for good."""
        failures, most = 0, len(batch)
        while batch:
            part = batch[:most]
            answer = self._poster.post(part)
            if self._abandoned:  # they are told as unsent
                return
            action, verdicts = judge(answer, part)
            if action is Action.RETRY:
                failures += 1
                status = answer.status if answer else None
                _log.warning("%d events are not taken yet: answer %s", len(part), status)
                retry_after_s = answer.retry_after_s(time.time()) if answer else 0.0
                if not self._wait(failures, retry_after_s=retry_after_s):
                    return
                continue
            failures = 0
            if action is Action.HALVE:
                most = (len(part) + 1) // 2
                continue
            # Told before it leaves the queue: whoever is killed between is told again.
            self._tell_all(verdicts)
            with self._changed:
                self._queue.remove(len(part))
                self._settled += len(part)
                self._due_s = time.monotonic() + self._bounds.flush_every_s
                self._changed.notify_all()
            batch = batch[most:]

    def _wait(self, failures: int, *, retry_after_s: float = 0.0) -> bool:
        """Wait before the next try; False if there shall be none."""
        # Chance keeps clients apart; it protects nothing.
        chance = random.random()  # noqa: S311 - see above
        wait_s = self._retries.wait_s(failures, retry_after_s=retry_after_s, chance=chance)
        with self._changed:
            return not self._changed.wait_for(lambda: self._abandoned, wait_s)

    def _tell_all(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            try:
                self._tell(verdict)
            except Exception:  # noqa: BLE001 - the caller's own code must not end the thread
                _log.exception("the callback failed for %s", verdict.event_id)
