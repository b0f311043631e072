"""How far all workers have come in asking for touches and answering.

A decision that has waited for its deadline may be waiting for a worker that starts, or that has
hours of messages before it. Only when everything asked by then has been answered is an answer
missing: else installs are called organic after every restart, and corrected a moment later.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, cast

from aiokafka.errors import KafkaError

from trackstream.core.rules import DEEPEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faust.types import TP, AppT

    from agents.transport import Consumer

__all__ = ["Progress", "Rounds"]

_log = logging.getLogger(__name__)

_HOPS = 2 * (DEEPEST + 1) + 1
"""A probe and its answer are read in two rounds, and the answer may ask on: a probe for each link
that can be followed, and for a click that the last one names. The last answer need only be written:
the tick comes after it."""
_PATIENCE = 60
"""Looks after which a round goes on without whoever is behind. One of them may hang, and what it
holds back is found out by the revision that follows. Looks are no time: nobody waits while all
workers are down, or their machine sleeps."""


class Rounds:
    """Rounds of a log: one ends when the group has read what the log held when it began.

    What was asked before as many rounds as can follow from each other is answered for good.
    """

    def __init__(self) -> None:
        self._goal: Mapping[TP, int] | None = None
        """None: nothing is known of the round's end."""
        self._began: deque[int] = deque(maxlen=_HOPS + 1)
        self._looks = 0

    def look(
        self, committed: Mapping[TP, int], ends: Mapping[TP, int], *, at_ms: int
    ) -> int | None:
        """Begin the next round if this one has ended.

        Args:
            committed: The group's offset of each partition, where it has one.
            ends: The offset after the last record of each partition, read after these, at `at_ms`
                or later.
            at_ms: Epoch milliseconds.

        Returns:
            When what is now answered for good was asked at the latest; None: not known yet.
        """
        goal = self._goal
        if goal is None or any(ends.get(place, 0) < end for place, end in goal.items()):
            self._began.clear()  # the first, or a topic was made anew
            self._begin(ends, at_ms)
        elif all(committed.get(place, 0) >= end for place, end in goal.items()):
            self._begin(ends, at_ms)
        else:
            self._looks += 1
        return self._answered_ms()

    def miss(self, *, at_ms: int) -> int | None:
        """It is not known how far anybody is. Returns what `look` does."""
        if not self._began:
            self._began.append(at_ms)
        self._looks += 1
        return self._answered_ms()

    def _begin(self, ends: Mapping[TP, int], at_ms: int) -> None:
        self._goal = ends
        self._began.append(at_ms)
        self._looks = 0

    def _answered_ms(self) -> int | None:
        if self._looks >= _PATIENCE:
            return self._began[-1]
        return self._began[0] if len(self._began) > _HOPS else None


class Progress:
    """The rounds of the topics on which is asked and answered.

    Args:
        app: The worker; it is asked only while it runs.
        topics: With their prefix.
    """

    def __init__(self, app: AppT, *topics: str) -> None:
        self._app = app
        self._topics = topics
        self._rounds = Rounds()
        self._failed = False

    async def answered_ms(self, at_ms: int) -> int | None:
        """See `Rounds.look`."""
        consumer = cast("Consumer", self._app.consumer)
        try:
            committed, ends = await consumer.read_of(*self._topics)
        except (KafkaError, TimeoutError) as error:
            if not self._failed:
                _log.warning("not known how far the workers have read: %r", error)
            self._failed = True
            return self._rounds.miss(at_ms=at_ms)
        self._failed = False
        return self._rounds.look(committed, ends, at_ms=at_ms)
