"""Emptying a spool into Kafka: in order, at least once, with pauses while Kafka is away."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackstream import codec
from trackstream.core.envelopes import halves
from trackstream.core.reasons import Reason
from trackstream.core.records import Envelope, Rejected
from trackstream.ports import Undelivered
from trackstream.storage.log_sink import UnwritableError
from trackstream.storage.spool.rows import MOST_KEY_BYTES
from trackstream.storage.spool.state import SpoolUnusableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.ports import Sink
    from trackstream.storage.spool.queue import DiskQueue
    from trackstream.storage.spool.rows import Message, Stored
    from trackstream.storage.spool.state import SpoolState

__all__ = ["Drain"]

_log = logging.getLogger(__name__)

_POLL_S = 0.05
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_CUT_BYTES = 256 * 1024
"""What is kept of a record that Kafka takes in no other way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """What it takes to empty a spool.

    Messages are removed after Kafka has acknowledged them. Whoever is killed in between sends them
    again; their events' and touches' ids tell the readers that they are the same.

    Attributes:
        sink: Kafka.
        ready: whether Kafka is worth a try.
        max_age_ms: what has waited for longer is refused, to `rejected`.
        clock_ms: the time now, in epoch milliseconds.
        version: of this program.
        state: counts.
    """

    sink: Sink
    ready: Callable[[], bool]
    max_age_ms: int
    clock_ms: Callable[[], int]
    version: str
    state: SpoolState

    async def keep_draining(self, queue: DiskQueue) -> None:
        """Empty it whenever there is something in it, until cancelled."""
        while True:
            await queue.filled.wait()
            await self.empty(queue)
            if queue.empty:
                queue.filled.clear()

    async def empty(self, queue: DiskQueue) -> None:
        """Return when there is nothing left in it."""
        before = self.state.drained
        pause_s = _FIRST_PAUSE_S
        while not queue.empty:
            if not self.ready():
                await asyncio.sleep(_POLL_S)
                continue
            try:
                batch = await queue.head()
                if batch:
                    await self._deliver(batch)
                    await queue.remove(batch)
                    self.state.drained += len(batch)
            except Exception as error:  # noqa: BLE001 - what is kept here is sent in any case
                self._tell(error)
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - no secret
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                pause_s = _FIRST_PAUSE_S
                if not batch:  # the first is being written
                    await asyncio.sleep(_POLL_S)
        if self.state.drained > before:
            _log.info("the spool is drained: %d messages", self.state.drained - before)

    def _tell(self, error: Exception) -> None:
        """Log why it goes on later."""
        if isinstance(error, Undelivered | SpoolUnusableError):
            _log.warning("the spool is not drained yet: %s", error)
        else:
            self.state.errors += 1
            _log.error("the spool is not drained yet", exc_info=error)

    async def _deliver(self, batch: list[Stored]) -> None:
        """Have Kafka acknowledge all of them, those that it does not take as refusals.

        Raises:
            Undelivered: not all of them were acknowledged.
        """
        now_ms = self.clock_ms()
        messages: list[Message] = []
        expired = broken = 0
        for one in batch:
            if not one.is_sound:
                broken += 1
                detail = f"a row of the spool is damaged: it is for {one.topic!r}"
                messages.append(self._refused(one, Reason.UNDECODABLE, detail))
            elif one.topic != "rejected" and now_ms - one.at_ms > self.max_age_ms:
                expired += 1
                waited_h = (now_ms - one.at_ms) / 3_600_000
                messages.append(
                    self._refused(
                        one,
                        Reason.SPOOLED_TOO_LONG,
                        f"a {one.topic} record waited for Kafka for {waited_h:.1f} h",
                    )
                )
            else:
                messages.append((one.topic, one.key, one.value))
        try:
            await self.sink.send(messages)
        except UnwritableError as error:
            if len(batch) == 1:
                await self._set_aside(batch[0], error)
                return
            middle = len(batch) // 2
            await self._deliver(batch[:middle])
            await self._deliver(batch[middle:])
            return
        if broken:
            self.state.broken += broken
            _log.error("%d rows of the spool are damaged; they are on `rejected` now", broken)
        if expired:
            self.state.expired += expired
            _log.error("%d spooled messages were too old; they are on `rejected` now", expired)

    async def _set_aside(self, one: Stored, error: UnwritableError) -> None:
        """Refuse it whole; if that is too large as well, each half; what cannot be halved, cut."""
        detail = f"Kafka does not take this {one.topic} record: {error}"
        _log.error("%s; it goes to `rejected`", detail)
        try:
            await self.sink.send([self._refused(one, Reason.TOO_LARGE, detail)])
        except UnwritableError:
            parts = _halved(one)
            if parts is None:
                await self.sink.send([self._refused(one, Reason.TOO_LARGE, detail, is_cut=True)])
            else:
                for part in parts:
                    await self._set_aside(part, error)
                return
        self.state.unwritable += 1

    def _refused(
        self, one: Stored, reason: Reason, detail: str, *, is_cut: bool = False
    ) -> Message:
        """The message for `rejected`; its id is made of the original, so it is the same again.

        What is cut or damaged goes nowhere again: it has no origin.
        """
        is_whole = one.is_sound and not is_cut
        record = _record_of(one)
        identity = hashlib.sha256(b"%d:%b:%b" % (one.at_ms, one.key, one.value)).hexdigest()[:32]
        record = Rejected(
            rejected_id=f"spool:{one.topic}:{identity}",
            app_id=getattr(record, "app_id", None),
            stage="collector",
            reasons=[str(reason)],
            detail=detail[:2_000],
            payload=one.value[:_CUT_BYTES] if is_cut else one.value,
            content_type="avro/binary",
            received_at_ms=one.at_ms if one.is_sound else self.clock_ms(),
            version=self.version,
            origin=one.topic if is_whole else None,
            key=one.key.decode("utf-8", "replace"),
        )
        return "rejected", one.key if is_whole else one.key[:MOST_KEY_BYTES], codec.encode(record)


def _record_of(one: Stored) -> object:
    """The record, None if it is none."""
    try:
        return codec.decode(one.value)
    except codec.UndecodableError:
        return None


def _halved(one: Stored) -> list[Stored] | None:
    record = _record_of(one)
    parts = halves(record) if isinstance(record, Envelope) else None
    return parts and [one._replace(value=codec.encode(part)) for part in parts]
