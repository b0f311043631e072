"""The matching protocol in a box: the real core, every interleaving, some messages twice.

Per-key order within a topic is kept, as Kafka keeps it; everything else is random.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from itertools import filterfalse
from typing import TYPE_CHECKING, TypeVar

import msgspec

from trackstream.core.identifiers import is_probabilistic
from trackstream.core.matching.ask import link_to_click, probes_of
from trackstream.core.matching.candidates import Found, FoundPrior
from trackstream.core.matching.conversion import ConversionState
from trackstream.core.matching.decide import Decision, decide
from trackstream.core.matching.gather import gather, may_be_led
from trackstream.core.matching.owner import IdentifierState, own
from trackstream.core.matching.reconsider import reconsider
from trackstream.core.records import (
    Answer,
    Attribution,
    Claim,
    Conversion,
    Link,
    Outcome,
    Prior,
    Probe,
    Touch,
)

if TYPE_CHECKING:
    from random import Random

    from trackstream.core.rules import Rules

APP = "app"
IP = "198.51.100.7"
"""Of everybody: fingerprints lead from here to all."""
State = TypeVar("State", bound=msgspec.Struct)


def touch(touch_id: str, at_ms: int, identifiers: list[str], *, kind: str = "click") -> Touch:
    return Touch(
        touch_id=touch_id,
        app_id=APP,
        kind=kind,
        at_ms=at_ms,
        identifiers=identifiers,
        click_id=touch_id,
        ip=IP,
    )


def conversion(
    conversion_id: str,
    at_ms: int,
    identifiers: list[str],
    *,
    kind: str = "install",
    named: str | None = None,
) -> Conversion:
    """One that names a click if it is a re-engagement: that of `named`, else of its own number."""
    if kind == "reengagement" and named is None:
        named = conversion_id.replace("c", "t")
    return Conversion(
        conversion_id=conversion_id,
        app_id=APP,
        kind=kind,
        event=kind,
        event_id=conversion_id,
        at_ms=at_ms,
        subject=f"{APP}|{identifiers[0]}",
        person=identifiers[0],
        identifiers=identifiers,
        click_id=named,
        ip=IP,
        revenue_micros=9_990_000,
        currency="EUR",
    )


@dataclass
class Scenario:
    touches: list[Touch]
    links: list[tuple[str, str]]
    conversions: list[Conversion]
    named: list[tuple[str, str]] = field(default_factory=list)
    """Identifiers, and the click ids that their events have named."""

    def feed(self) -> list[tuple[str, Touch | Link | Probe]]:
        """(identifier, message) for all that comes from outside."""
        fed: list[tuple[str, Touch | Link | Probe]] = []
        for one in self.touches:
            fed += [(identifier, one) for identifier in one.identifiers]
        for a, b in self.links:
            fed.append((a, Link(app_id=APP, identifier=a, other=b, at_ms=0)))
            fed.append((b, Link(app_id=APP, identifier=b, other=a, at_ms=0)))
        for one_id, click_id in self.named:
            link = link_to_click(one_id, click_id, app_id=APP, at_ms=0)
            fed.append((link.identifier, link))
        for asked in self.conversions:
            fed += [(probe.identifier, probe) for probe in probes_of(asked)]
        return fed


@dataclass
class World:
    rules: Rules
    random: Random
    owners: dict[str, IdentifierState] = field(default_factory=dict)
    conversions: dict[str, ConversionState] = field(default_factory=dict)
    published: dict[str, list[Attribution]] = field(default_factory=lambda: defaultdict(list))
    won: dict[str, Outcome] = field(default_factory=dict)
    """What the subject of each conversion was told last."""
    versions: dict[str, Rules] = field(default_factory=dict)
    """Other rules by version, which replayed decisions may name."""
    written: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """The next offset of each conversion's answers."""
    redeliveries: int = 20
    """How many messages are delivered once more. Bounded: each makes further messages."""

    def run(self, scenario: Scenario, *replayed: Attribution) -> None:
        """Feed everything in random order while messages are delivered in random order."""
        feed: list[tuple[str, Touch | Link | Probe | Attribution]] = [*scenario.feed()]
        feed += [(one.conversion_id, one) for one in replayed]
        self.random.shuffle(feed)
        identity: dict[str, deque[Touch | Link | Probe | Outcome | Claim]] = defaultdict(deque)
        candidates: dict[str, deque[tuple[int, Answer | Attribution]]] = defaultdict(deque)
        while True:
            live = [("identity", key) for key, queue in identity.items() if queue]
            live += [("candidates", key) for key, queue in candidates.items() if queue]
            if feed and (not live or self.random.random() < 0.15):
                key, fed = feed.pop()
                if isinstance(fed, Attribution):
                    candidates[key].append((self._offset(key), fed))
                else:
                    identity[key].append(fed)
                continue
            if not live:
                return
            topic, key = self.random.choice(live)
            twice = self.redeliveries > 0 and self.random.random() < 0.1
            self.redeliveries -= twice
            if topic == "identity":
                message = identity[key][0]
                if not twice:
                    identity[key].popleft()
                for answer in self._own(key, message):
                    to = answer.conversion.conversion_id
                    candidates[to].append((self._offset(to), answer))
            else:
                offset, come = candidates[key][0]
                if not twice:
                    candidates[key].popleft()
                for told in self._gather(key, offset, come):
                    identity[told.identifier].append(told)

    def _own(self, key: str, message: Touch | Link | Probe | Outcome | Claim) -> list[Answer]:
        state, answers = own(self.owners.get(key), message, identifier=key, rules=self.rules)
        self.owners[key] = _stored(state, IdentifierState)
        return answers

    def _offset(self, conversion_id: str) -> int:
        self.written[conversion_id] += 1
        return self.written[conversion_id]

    def _gather(
        self, key: str, offset: int, come: Answer | Attribution
    ) -> list[Probe | Outcome | Claim]:
        before = self.conversions.get(key)
        version = before.rules_version if before else None
        rules = self.versions.get(version or "", self.rules)
        if isinstance(come, Answer):
            state, out = gather(before, come, offset=offset, at_ms=0, rules=rules)
        else:
            assert before is not None
            if offset > before.applied:
                rules = self.versions[come.rules_version]
            state, out = reconsider(before, come, offset=offset, at_ms=0, rules=rules)
        self.conversions[key] = _stored(state, ConversionState)
        if out.attribution:
            self.published[key].append(out.attribution)
        if out.subject_outcome:
            old = self.won.get(key)
            assert old is None or old.revision <= out.subject_outcome.revision
            self.won[key] = out.subject_outcome
        return [*out.probes, *out.outcomes, *out.claims]


def _stored(state: State, kind: type[State]) -> State:
    """Through the bytes that the table keeps."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=kind)


def reference(scenario: Scenario, rules: Rules) -> dict[str, Decision]:
    """Every conversion's decision by one who sees everything at once, in time order."""
    near: dict[str, set[str]] = defaultdict(set)
    for a, b in scenario.links:
        near[a].add(b)
        near[b].add(a)
    claimed = {
        one.touch_id
        for one in scenario.touches
        for install in scenario.conversions
        if install.kind == "install" and one.at_ms <= install.at_ms
        for shared in set(one.identifiers) & set(install.identifiers)
        if not shared.startswith(("fp:", "user:"))
    }
    decided: dict[str, Decision] = {}
    earlier: list[Conversion] = []
    for asked in sorted(scenario.conversions, key=lambda c: (c.at_ms, c.conversion_id)):
        reached, edge = set(asked.identifiers), set(asked.identifiers)
        for _ in range(rules.depth):
            edge = {other for one in edge for other in near[one]} - reached
            reached |= edge
        if may_be_led(asked, rules):
            reached |= {f"click:{click_id}" for one, click_id in scenario.named if one in reached}
        found = {
            one.touch_id: Found(one, sorted(reached & set(one.identifiers)))
            for one in scenario.touches
            if one.at_ms <= asked.at_ms and reached & set(one.identifiers)
        }
        exact = set(filterfalse(is_probabilistic, reached))
        priors = {
            one.conversion_id: FoundPrior(
                Prior(
                    conversion_id=one.conversion_id,
                    kind=one.kind,
                    at_ms=one.at_ms,
                    touch=decided[one.conversion_id].touch,
                    confidence=decided[one.conversion_id].confidence,
                ),
                sorted(exact & set(one.identifiers)),
            )
            for one in earlier
            if exact & set(one.identifiers)
        }
        decided[asked.conversion_id] = decide(asked, found, priors, claimed, rules=rules)
        earlier.append(asked)
    return decided
