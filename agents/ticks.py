"""Time as a message: each worker sends ticks to the partitions it owns, and keys wait for them."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import msgspec

from agents.progress import Progress
from agents.transport import Outgoing
from agents.work import Effects
from trackstream import codec
from trackstream.core.records import Tick

if TYPE_CHECKING:
    from faust.types import AppT

    from agents.steps import At
    from agents.transport import Producer
    from tables.base import StateTable

__all__ = ["each_due", "forget", "send_ticks", "start"]

_log = logging.getLogger(__name__)

ASKED = "identity"
DECIDED = "candidates"
TICKED = ("raw", ASKED, DECIDED)
_MOST_KEYS = 5_000
"""Keys handled on one tick of a partition; the rest have their turn on the next."""

S_contra = TypeVar("S_contra", bound=msgspec.Struct, contravariant=True)
S = TypeVar("S", bound=msgspec.Struct)


_SWEPT_KEYS = 1_000
"""Keys looked at on one tick of a partition for what can be forgotten."""


class PassTime(Protocol[S_contra]):
    """What an agent does with one key whose time has come."""

    def __call__(self, key: str, state: S_contra, at_ms: int, effects: Effects) -> None:
        """Save the new state and send what follows from it."""


def each_due(
    table: StateTable[S],
    tick: Tick,
    at: At,
    effects: Effects,
    pass_time: PassTime[S],
    *,
    until_ms: int,
) -> None:
    """Call `pass_time` for every key of the tick's partition that is due by `until_ms`.

    A key whose handling fails is logged and left alone until its state changes or the worker
    restarts: one bad state must not keep time from passing for all others.
    """
    index = table.due
    if index is None:
        return
    for key in table.take_due(at.partition, until_ms, _MOST_KEYS):
        effects.take(table, key)
        state = effects.load(table, key)
        due = None if state is None else index.due_ms(state)
        if state is None or due is None:
            continue
        if due > until_ms:
            index.put(at.partition, key, state)
            continue
        mine = Effects(effects.work, effects.partition, effects.offset)
        try:
            pass_time(key, state, tick.at_ms, mine)
            if effects.work.careful:
                mine.check()
        except Exception:  # noqa: BLE001 - logged, and time goes on
            _log.exception("time does not pass for %s of %s", key, table.name)
        else:
            effects.include(mine)


def forget(table: StateTable[S], at: At, effects: Effects, agent: str) -> None:
    """Delete states of the tick's partition that are kept no longer, a part of them each time."""
    keys = [
        key
        for key in table.forgettable(at.partition, _SWEPT_KEYS)
        if not effects.is_changed(table, key)
    ]
    for key in keys:
        effects.save(table, key, None)
    effects.tally("trackstream_states_forgotten_total", len(keys), agent=agent, table=table.name)


async def send_ticks(app: AppT, *, topic_prefix: str, progress: Progress) -> int:
    """Send a tick to every partition of the ticked topics that this worker owns; how many."""
    if app.rebalancing or not app.flow_control.is_active():
        return 0
    at_ms = time.time_ns() // 1_000_000
    value = codec.encode(Tick(at_ms=at_ms))
    answered_ms = await progress.answered_ms(at_ms)
    values = {topic_prefix + topic: value for topic in TICKED}
    values[topic_prefix + DECIDED] = codec.encode(Tick(at_ms=at_ms, answered_ms=answered_ms))
    ticks = [
        Outgoing(tp.topic, tp.partition, None, values[tp.topic])
        for tp in app.assignor.assigned_actives()
        if tp.topic in values
    ]
    await cast("Producer", app.producer).deliver(ticks)
    return len(ticks)


def start(app: AppT, *, topic_prefix: str, interval_s: float) -> None:
    """Have the app send ticks for as long as it runs."""
    progress = Progress(app, topic_prefix + ASKED, topic_prefix + DECIDED)

    @app.timer(interval_s, name="ticks")
    async def _tick() -> None:
        try:
            await send_ticks(app, topic_prefix=topic_prefix, progress=progress)
        except Exception:  # noqa: BLE001 - logged, and time goes on
            _log.exception("no tick was sent this time")
