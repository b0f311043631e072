"""The core as the agents run it, in one process: partitions that lag, messages that come again.

Order is kept within a partition, as Kafka keeps it, and nowhere else. What the workers lose when
they die is what they had not acknowledged: part of a batch is handled again, with the states of
the first time.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any
from zlib import crc32

from trackstream.cli.ground_truth.people import place
from trackstream.core.identifiers import scoped
from trackstream.core.matching.gather import deadline_ms, expire, gather
from trackstream.core.matching.owner import IdentifierState, own
from trackstream.core.visits import VisitorState, visit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from trackstream.cli.ground_truth.book import Sent
    from trackstream.core.matching.conversion import ConversionState, GatherOutcome
    from trackstream.core.records import (
        Answer,
        Attribution,
        Claim,
        Envelope,
        Link,
        Outcome,
        Probe,
    )
    from trackstream.core.rules import Rules
    from trackstream.ports import UserAgentLookup

__all__ = ["Protocol"]

_TOPICS = ("raw", "identity", "candidates")
_PARTITIONS = 8
_BURST = 48
_BATCH = 24
_MOST_WAITING = 600
"""How many messages may wait before the next come: how far partitions lag behind each other."""
_DIES = 0.03
"""The chance that a batch's worker dies before it has acknowledged all of it."""


class Protocol:
    """Runs messages through `enrich`, `match` and `attribute`.

    Args:
        rules: Of the one app.
        rng: Decides the order.
        user_agents: For envelopes.

    Attributes:
        attributions: The newest revision of each conversion, by its id.
        conversions: Everything that each has gathered.
        handled: How many messages were handled.
        again: How many of them a second time.
    """

    def __init__(self, rules: Rules, rng: Random, user_agents: UserAgentLookup) -> None:
        self.attributions: dict[str, Attribution] = {}
        self.conversions: dict[str, ConversionState] = {}
        self.handled = self.again = 0
        self._rules, self._rng, self._user_agents = rules, rng, user_agents
        self._visitors: dict[str, VisitorState] = {}
        self._owners: dict[str, IdentifierState] = {}
        self._queues: dict[tuple[str, int], deque[tuple[int, str, Any]]] = {
            (topic, number): deque() for topic in _TOPICS for number in range(_PARTITIONS)
        }
        self._written = dict.fromkeys(self._queues, 0)
        self._waiting = 0
        self._awaited: set[str] = set()
        self._now_ms = 0

    def run(self, sent: Sequence[Sent]) -> None:
        """Take everything in the order in which it arrives, until nothing is left to do."""
        feed = sorted(sent, key=lambda one: one.arrives_ms)
        asleep = None
        for start in range(0, len(feed), _BURST):
            for one in feed[start : start + _BURST]:
                self._now_ms = one.arrives_ms
                self._write(one.topic, one.key, one.record)
            if self._rng.random() < 0.05:
                asleep = self._rng.choice(list(self._queues))
            self._work(self._rng.randrange(_MOST_WAITING), asleep)
            self._pass_time()
        self._work(0, None)

    def _work(self, until: int, asleep: tuple[str, int] | None) -> None:
        """Handle batches of any partitions until no more than this waits."""
        while self._waiting > until:
            live = [place for place, queue in self._queues.items() if queue and place != asleep]
            if not live:
                return
            place = self._rng.choice(live)
            queue = self._queues[place]
            batch = [queue[i] for i in range(min(len(queue), _BATCH))]
            for offset, key, record in batch:
                self._handle(place[0], offset, key, record)
            self.handled += len(batch)
            kept = self._rng.randrange(len(batch)) if self._rng.random() < _DIES else 0
            self.again += kept
            for _ in range(len(batch) - kept):
                queue.popleft()
            self._waiting -= len(batch) - kept

    def _write(self, topic: str, key: str, record: Any) -> None:
        place = topic, crc32(key.encode()) % _PARTITIONS
        self._queues[place].append((self._written[place], key, record))
        self._written[place] += 1
        self._waiting += 1

    def _handle(self, topic: str, offset: int, key: str, record: Any) -> None:
        if topic == "raw":
            self._visit(offset, key, record)
        elif topic == "identity":
            identifier = key.partition("|")[2]
            state, answers = own(
                self._owners.get(key), record, identifier=identifier, rules=self._rules
            )
            self._owners[key] = state
            for answer in answers:
                self._write("candidates", answer.conversion.conversion_id, answer)
        else:
            self._gather(offset, key, record)

    def _visit(self, offset: int, key: str, envelope: Envelope) -> None:
        self._visitors[key], out = visit(
            self._visitors.get(key),
            envelope,
            offset=offset,
            place=place(envelope.ip),
            user_agent=self._user_agents.parse(envelope.user_agent),
            rules=self._rules,
        )
        self._ask([*out.links, *out.probes])

    def _gather(self, offset: int, key: str, answer: Answer) -> None:
        state, out = gather(
            self.conversions.get(key), answer, offset=offset, at_ms=self._now_ms, rules=self._rules
        )
        self._told(key, state, out)

    def _ask(self, records: list[Link | Probe | Outcome | Claim]) -> None:
        for one in records:
            self._write("identity", scoped(one.app_id, one.identifier), one)

    def _pass_time(self) -> None:
        """Decide what has waited too long for an answer, as a tick does."""
        for key in sorted(self._awaited):
            state, out = expire(self.conversions[key], at_ms=self._now_ms, rules=self._rules)
            self._told(key, state, out)

    def _told(self, key: str, state: ConversionState, out: GatherOutcome) -> None:
        self.conversions[key] = state
        if deadline_ms(state) is None:
            self._awaited.discard(key)
        else:
            self._awaited.add(key)
        self._ask([*out.probes, *out.outcomes, *out.claims])
        if out.attribution is not None:
            newest = self.attributions.get(key)
            if newest is None or newest.revision <= out.attribution.revision:
                self.attributions[key] = out.attribution
