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

_HOPS = DEEPEST + 1
"""A probe, and one more for each link that is followed from its answer."""


class Rounds:
    """Rounds of a log: one ends when the groups have read what the log held when it began.

    What was asked before a round is answered, or asks on, by its end. So it is answered for good
    when there were as many rounds as there can be questions that follow from each other.
    """

    def __init__(self) -> None:
        self._goal: Mapping[TP, int] = {}
        self._began: deque[int] = deque(maxlen=_HOPS + 1)

    def look(
        self, ends: Mapping[TP, int], committed: Mapping[TP, int], *, at_ms: int
    ) -> int | None:
        """Begin the next round if this one has ended.

        Args:
            ends: The offset after the last record of each partition, read at `at_ms` or later.
            committed: The group's offset of each partition, where it has one.
            at_ms: Epoch milliseconds.

        Returns:
            When what is now answered for good was asked at the latest; None: not known yet.
        """
        if all(committed.get(place, 0) >= end for place, end in self._goal.items()):
            self._goal = ends
            self._began.append(at_ms)
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
        self._last: int | None = None

    async def answered_ms(self, at_ms: int) -> int | None:
        """See `Rounds.look`. While Kafka does not say how far the group is, what it was before."""
        consumer = cast("Consumer", self._app.consumer)
        try:
            ends, committed = await consumer.read_of(*self._topics)
        except (KafkaError, TimeoutError) as error:
            if not self._failed:
                _log.warning("not known how far the workers have read: %r", error)
            self._failed = True
        else:
            self._failed = False
            self._last = self._rounds.look(ends, committed, at_ms=at_ms)
        return self._last
