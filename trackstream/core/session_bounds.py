"""How much of its sessions a subject's state keeps, in number and in bytes, whatever comes.

A state is written whole whenever it changes, as one record: one that is larger than Kafka takes
would end the worker. So what is beyond the bounds is not kept, however new it is: it is published
as closed at once, and what comes later of its time is a session of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trackstream.core.cells import total

if TYPE_CHECKING:
    from trackstream.core.rules import Rules
    from trackstream.core.sessions import SessionState

__all__ = ["MOST_BYTES", "Kept", "kept"]

MOST_BYTES = 192 * 1024
"""Of all sessions of a subject."""
_FEW_CELLS = 20
"""So many are within the bounds anyway: see `core.cells` for the greatest. Others are measured."""
_ENCODER = msgspec.msgpack.Encoder()


class Kept(NamedTuple):
    """What a subject remembers of its sessions."""

    sessions: list[SessionState]
    """In order of time."""
    gone: list[SessionState]
    """Those beyond the bounds that were open, or had changed since they were published."""


def kept(now: list[SessionState], newest_ms: int, rules: Rules) -> Kept:
    """What is kept of these sessions, which are in order of time.

    Closed and published ones are forgotten when no late event is to change them; then the oldest
    are, as many as are beyond the bounds.
    """
    oldest_ms = newest_ms - rules.session_memory_ms
    held = [one for one in now if one.changed or not one.closed or one.end[0] >= oldest_ms]
    surplus = max(0, len(held) - max(1, rules.max_sessions))
    if sum(len(one.cells) for one in held[surplus:]) > _FEW_CELLS:
        sizes = [len(_ENCODER.encode(one)) for one in held]
        room = MOST_BYTES - sum(sizes[surplus:])
        while room < 0 and surplus < len(held) - 1:
            room += sizes[surplus]
            surplus += 1
        if room < 0:
            last = msgspec.structs.replace(held[-1], cells=[total(held[-1].cells)])
            held = [*held[:-1], last]
    gone = [one for one in held[:surplus] if one.changed or not one.closed]
    return Kept(held[surplus:], gone)
