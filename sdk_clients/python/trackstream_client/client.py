"""The client: what a program calls."""

from __future__ import annotations

import atexit
import json
import logging
import os
import time
import weakref
from typing import TYPE_CHECKING, Any, Self, Unpack

from trackstream_client.answers import Queued
from trackstream_client.events import event_of, page_of
from trackstream_client.ids import new_id
from trackstream_client.posting import ENVELOPE_BYTES, Poster
from trackstream_client.queues import FileQueue, MemoryQueue
from trackstream_client.retries import Retries
from trackstream_client.sender import Bounds, Sender
from trackstream_client.transport import Transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from trackstream_client.answers import Verdict
    from trackstream_client.events import Fields, FieldsWithUser

__all__ = ["Client"]

_log = logging.getLogger("trackstream_client")
_AT_EXIT_S = 5.0


class Client:
    """Sends events of one app. One for each process; any thread may use it.

    Each call queues an event and returns its id; a thread sends them in their order. Each event has
    one verdict in the end: `on_verdict` is told it. An event leaves the queue only with a verdict:
    while the collector is away, tries go on, and when the queue is full, calls raise
    `QueueFullError`.

    Args:
        url: the collector's, such as `https://t.shop.example`.
        key_id: a server key's id.
        secret: its secret.
        queue_file: keep the queue in this file, so that what was queued when the process ended (or
            was killed) is sent by the next client with the file. Make such a client after forking.
        on_verdict: is told what has become of each event, in the client's thread, before `flush`
            returns. What it raises is logged. With a queue file a verdict may be told twice, if the
            process is killed just then. Without it, what is not accepted is logged as a warning.
        batch_events: most events in a request; the collector takes 1,000.
        batch_bytes: most bytes in it, before compression; the collector takes 1 MiB after it.
        flush_every_s: an event waits for others for so long at most.
        queue_events: most events in the queue.
        queue_bytes: most bytes of their documents.
        wait_for_room_s: for how long a call waits before it raises that the queue is full.
        retries: bounds of the waits between tries.
        compresses: whether requests are sent with gzip.
        timeout_s: for connecting, and for an answer.
        tls: which certificates are believed; the system's if not given.
        clock_s: the time in epoch seconds.

    Raises:
        ValueError: the URL is none of HTTP, or a bound is too small.
        QueueInUseError: another client has the queue file open.
    """

    def __init__(
        self,
        url: str,
        key_id: str,
        secret: str,
        *,
        queue_file: Path | None = None,
        on_verdict: Callable[[Verdict], None] | None = None,
        batch_events: int = 1_000,
        batch_bytes: int = 2**20,
        flush_every_s: float = 1.0,
        queue_events: int = 100_000,
        queue_bytes: int = 128 * 2**20,
        wait_for_room_s: float = 0.0,
        retries: Retries | None = None,
        compresses: bool = True,
        timeout_s: float = 30.0,
        tls: ssl.SSLContext | None = None,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        if min(batch_events, queue_events) < 1 or batch_bytes <= 2 * ENVELOPE_BYTES:
            raise ValueError("a batch and a queue have room for one event at least")
        self._clock_s = clock_s
        poster = Poster(
            Transport(url, timeout_s=timeout_s, tls=tls),
            key_id=key_id,
            secret=secret,
            compresses=compresses,
            clock_s=clock_s,
        )
        self._sender = Sender(
            MemoryQueue() if queue_file is None else FileQueue(queue_file),
            poster,
            bounds=Bounds(
                batch_events=batch_events,
                batch_bytes=batch_bytes - ENVELOPE_BYTES,
                flush_every_s=flush_every_s,
                queue_events=queue_events,
                queue_bytes=queue_bytes,
                wait_for_room_s=wait_for_room_s,
            ),
            retries=retries or Retries(),
            tell=on_verdict or _logged,
        )
        atexit.register(self.close, _AT_EXIT_S)
        _living.add(self._sender)

    def track(
        self,
        event: str,
        properties: Mapping[str, Any] | None = None,
        **fields: Unpack[FieldsWithUser],
    ) -> str:
        """Queue an event of any name; returns its id.

        The id is `event_id` if that is given, else a new UUIDv7; it stays through all tries, so the
        event counts once. Whether its fields are as they should be is the collector's to say.

        Raises:
            QueueFullError: there is no room.
            EventTooLargeError: it is larger than a request may be.
            ClientClosedError: the client was closed.
            TypeError, ValueError: JSON cannot say it, or its timestamp has no zone.
            sqlite3.Error: the disk does not take it (with a queue file only).
        """
        return self._put(event, properties, fields)

    def identify(
        self, user_id: str, traits: Mapping[str, Any] | None = None, **fields: Unpack[Fields]
    ) -> str:
        """Queue that the device or cookie in the fields is this user's, and their traits."""
        properties = {"traits": dict(traits)} if traits else None
        return self._put("identify", properties, {"user_id": user_id, **fields})

    def alias(self, user_id: str, previous_id: str, **fields: Unpack[Fields]) -> str:
        """Queue that this user was `previous_id` before: both are one person."""
        return self._put("alias", {"previous_id": previous_id}, {"user_id": user_id, **fields})

    def install(
        self, properties: Mapping[str, Any] | None = None, **fields: Unpack[FieldsWithUser]
    ) -> str:
        """Queue an install, which is attributed; `referral` says what the store knows of it."""
        return self._put("install", properties, fields)

    def screen(
        self,
        name: str,
        properties: Mapping[str, Any] | None = None,
        **fields: Unpack[FieldsWithUser],
    ) -> str:
        """Queue that a screen of an app was seen."""
        return self._put("screen_view", {**(properties or {}), "name": name}, fields)

    def page(
        self,
        url: str,
        *,
        title: str | None = None,
        referrer: str | None = None,
        properties: Mapping[str, Any] | None = None,
        **fields: Unpack[FieldsWithUser],
    ) -> str:
        """Queue that a page was seen; its whole URL, for campaigns are in its query."""
        context = page_of(fields.get("context"), url=url, title=title, referrer=referrer)
        return self._put("page_view", properties, {**fields, "context": context})

    def flush(self, timeout_s: float | None = None) -> bool:
        """Send at once what is queued; whether all of it has its verdict within the time."""
        return self._sender.flush(timeout_s)

    def close(self, timeout_s: float | None = 10.0) -> int:
        """Take nothing more, and send what is queued; how many events could not be, in the time.

        With a queue file these are there for the next client; without, each is told as `unsent`.
        At the end of the program it is called with 5 s.
        """
        atexit.unregister(self.close)
        left = self._sender.close(timeout_s)
        if left:
            _log.warning("closed with %d events that were not sent", left)
        return left

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _put(
        self, event: str, properties: Mapping[str, Any] | None, fields: Mapping[str, Any]
    ) -> str:
        event_id = str(fields.get("event_id") or "").strip() or new_id()
        document = event_of(event, properties, fields, now_s=self._clock_s())
        document["event_id"] = event_id
        # ASCII: half an emoji, which UTF-8 cannot say, is an escape then.
        body = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
        self._sender.put(Queued(event_id, body))
        return event_id


def _logged(verdict: Verdict) -> None:
    if verdict.status != "accepted":
        _log.warning(
            "event %s is %s: %s %s",
            *(verdict.event_id, verdict.status, ", ".join(verdict.reasons), verdict.detail),
        )


_living: weakref.WeakSet[Sender] = weakref.WeakSet()


def _after_fork() -> None:
    for sender in _living:
        sender.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
