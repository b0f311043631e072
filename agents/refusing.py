"""What becomes of a message whose handling fails: what fails of it is refused, the rest is done.

Of an envelope the events that fail go to `rejected`, each in an envelope of its own, which can be
sent again; the others are handled as if they had come without them. Which ones fail is found by
handling parts of it. That follows from what is in them, so a replay refuses the same, by the same
ids.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from agents.work import Effects, TooLargeError
from tables.state import UnknownStateVersionError
from tables.store import NotOwnedError
from trackstream import codec
from trackstream.core.reasons import Reason
from trackstream.core.records import Envelope, Rejected

if TYPE_CHECKING:
    from faust.types import Message

    from agents.steps import At, Step
    from agents.work import Work
    from trackstream.core.records import RawEvent, Record

__all__ = ["Handler"]

_log = logging.getLogger(__name__)

_FATAL = (NotOwnedError, UnknownStateVersionError)
"""What no message is to blame for: the worker stops."""
_DETAIL_CHARS = 500
_KEY_CHARS = 1_024
_REST_BYTES = 16_384
"""Of a refusal, besides its payload."""


@dataclass(frozen=True, slots=True)
class Handler:
    """An agent's step, which stops for no message.

    Args:
        step: What is done with a message.
        agent: The stage that refuses.
        version: Of the program.
    """

    step: Step
    agent: str
    version: str

    def handled(self, message: Message, at: At, work: Work) -> Effects:
        """What a message does, or its refusal.

        Args:
            message: As Kafka has it.
            at: Where it stands.
            work: The batch, whose earlier messages it sees.

        Raises:
            NotOwnedError: The partition has left this worker.
            UnknownStateVersionError: The state is another program's.
        """
        record: Record | None = None
        try:
            record = codec.decode(message.value)
            return self._done(record, at, work)
        except _FATAL:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a message does, it stops nobody else
            return self._without(error, record, message, at, work)

    def _done(self, record: Record, at: At, work: Work) -> Effects:
        effects = Effects(work, at.partition, at.offset)
        try:
            if isinstance(record, Envelope):
                count = len(record.events)
                effects.tally("trackstream_events_in_total", count, agent=self.agent)
            self.step(record, at, effects)
            if work.careful:
                effects.check()
        except Exception:
            effects.drop()
            raise
        return effects

    def _without(
        self, error: Exception, record: Record | None, message: Message, at: At, work: Work
    ) -> Effects:
        """What is left of a message without what fails of it, and the refusal of that."""
        if not isinstance(error, codec.UndecodableError):
            place = message.topic, at.partition, at.offset
            _log.error("%s rejects of %s[%d]@%d", self.agent, *place, exc_info=error)
        name = f"{message.topic}-{at.partition}-{at.offset}"
        origin = message.topic.removeprefix(work.topic_prefix)
        if isinstance(record, Envelope) and len(record.events) > 1:
            wrong = self._culprits(record, list(enumerate(record.events)), at, work)
            alone = {number for number, _, _ in wrong}
            rest = [one for number, one in enumerate(record.events) if number not in alone]
            effects = self._rest(record, rest, at, work) if alone else None
            if effects is not None:
                for number, one, why in wrong:
                    payload = codec.encode(_envelope(record, [one]))
                    self._refuse(effects, f"{name}-{number}", payload, why, at, origin)
                return effects
        effects = Effects(work, at.partition, at.offset)
        self._refuse(effects, name, message.value or b"", error, at, origin)
        return effects

    def _culprits(
        self, envelope: Envelope, events: list[tuple[int, RawEvent]], at: At, work: Work
    ) -> list[tuple[int, RawEvent, Exception]]:
        """Events whose handling fails without the others, by their numbers, and why."""
        try:
            self._done(_envelope(envelope, [one for _, one in events]), at, work).drop()
        except _FATAL:
            raise
        except Exception as error:  # noqa: BLE001 - it is told of the event
            if len(events) == 1:
                return [(*events[0], error)]
            middle = len(events) // 2
            return [
                *self._culprits(envelope, events[:middle], at, work),
                *self._culprits(envelope, events[middle:], at, work),
            ]
        return []

    def _rest(
        self, envelope: Envelope, events: list[RawEvent], at: At, work: Work
    ) -> Effects | None:
        """What the others do; None if they fail, too, though none does alone."""
        if not events:
            return Effects(work, at.partition, at.offset)
        try:
            return self._done(_envelope(envelope, events), at, work)
        except _FATAL:
            raise
        except Exception as error:  # noqa: BLE001 - the whole envelope is refused
            _log.error("%s rejects the rest, too", self.agent, exc_info=error)
            return None

    def _refuse(
        self, effects: Effects, name: str, payload: bytes, error: Exception, at: At, origin: str
    ) -> None:
        reason = Reason.INTERNAL
        if isinstance(error, codec.UndecodableError):
            reason = Reason.UNDECODABLE
        elif isinstance(error, TooLargeError):
            reason = Reason.TOO_LARGE
        detail = f"{type(error).__name__}: {error}"[:_DETAIL_CHARS]
        room = max(0, effects.work.record_bytes - _REST_BYTES)
        if len(payload) > room:
            detail = f"of {len(payload)} bytes the first {room}; {detail}"
        key = at.key[:_KEY_CHARS]
        effects.send(
            "rejected",
            key,
            Rejected(
                rejected_id=name,
                app_id=key.partition("|")[0] if "|" in key else None,
                stage=self.agent,
                reasons=[reason.value],
                detail=detail,
                payload=payload[:room],
                received_at_ms=at.ms,
                version=self.version,
                origin=origin,
                key=key,
            ),
        )
        effects.tally("trackstream_rejected_total", agent=self.agent, reason=reason.value)


def _envelope(whole: Envelope, events: list[RawEvent]) -> Envelope:
    return msgspec.structs.replace(whole, events=events)
