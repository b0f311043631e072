"""A transactional id: who has it, and how its current transaction stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from trackstream.embedded.broker.coordination.offsets import Committed, Place


class State(Enum):
    """Where a transactional id stands."""

    EMPTY = "empty"
    ONGOING = "ongoing"
    COMMITTING = "committing"
    ABORTING = "aborting"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(slots=True)
class Transaction:
    """A transactional id and its current transaction; `offsets` wait for the commit."""

    id: str
    producer_id: int
    epoch: int
    timeout_ms: int
    state: State = State.EMPTY
    began_ms: int = 0
    partitions: set[Place] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    offsets: dict[str, dict[Place, Committed]] = field(default_factory=dict)

    @property
    def is_ending(self) -> bool:
        """Whether its end is decided, but not carried out everywhere."""
        return self.state in {State.COMMITTING, State.ABORTING}

    def dump(self) -> dict[str, Any]:
        """Return the transaction as JSON values."""
        return {
            "producer_id": self.producer_id,
            "epoch": self.epoch,
            "timeout_ms": self.timeout_ms,
            "state": self.state.value,
            "began_ms": self.began_ms,
            "partitions": sorted(self.partitions),
            "groups": sorted(self.groups),
            "offsets": {
                group: [[*place, *committed] for place, committed in offsets.items()]
                for group, offsets in self.offsets.items()
            },
        }

    @classmethod
    def restore(cls, transactional_id: str, dumped: dict[str, Any]) -> Transaction:
        """Return the transaction from `dump`."""
        return cls(
            transactional_id,
            dumped["producer_id"],
            dumped["epoch"],
            dumped["timeout_ms"],
            State(dumped["state"]),
            dumped["began_ms"],
            {(topic, index) for topic, index in dumped["partitions"]},
            set(dumped["groups"]),
            {
                group: {(topic, index): Committed(*rest) for topic, index, *rest in offsets}
                for group, offsets in dumped["offsets"].items()
            },
        )
