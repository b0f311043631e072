"""How the members of a group come to new assignments.

A rebalance has two halves. In the first (PREPARING) every member joins again; when all have, or the
longest rebalance timeout is over, a new generation begins. In the second (COMPLETING) the leader
sends everybody's assignment; then the group is STABLE until somebody comes, goes or changes.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum
from typing import TYPE_CHECKING

from trackstream.embedded.broker.coordination.members import JoinResult, Member, SyncResult
from trackstream.embedded.broker.coordination.roster import Roster
from trackstream.embedded.broker.protocol.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)


class GroupState(Enum):
    """Where a group stands, by the names that DescribeGroups answers."""

    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


class Rebalancing:
    """A group's members, where it stands, and its way from one generation to the next.

    See `Group`, whose requests begin what is done here; `on_stable` is called as its is.
    """

    def __init__(self, group_id: str, initial_delay_ms: int, on_stable: Callable[[], None]) -> None:
        self.id = group_id
        self.state = GroupState.EMPTY
        self.generation = 0
        self.protocol_type = ""
        self.protocol: str | None = None
        self.leader = ""
        self.members = Roster()
        self._pending: dict[str, float] = {}
        """Ids that were handed out, until when their clients may come back with them."""
        self._initial_delay_s = initial_delay_ms / 1000
        self._on_stable = on_stable
        self._timer: asyncio.TimerHandle | None = None
        self._held_until_s = 0.0
        self._grew = False

    def _rebalance(self, reason: str) -> None:
        if self.state is GroupState.PREPARING:
            self._complete_if_all_joined()
            return
        log.info("group %s: rebalance of generation %d: %s", self.id, self.generation, reason)
        for member in self.members:
            member.answer_sync(SyncResult(ErrorCode.REBALANCE_IN_PROGRESS))
        first = self.state is GroupState.EMPTY
        self.state = GroupState.PREPARING
        if first and self._initial_delay_s > 0:
            self._held_until_s = now_s() + self.members.longest_rebalance_s
            self._grew = False
            self._start_timer(self._initial_delay_s, self._end_initial_delay)
            return
        self._start_timer(self.members.longest_rebalance_s, self._complete_join)
        self._complete_if_all_joined()

    def _end_initial_delay(self) -> None:
        """Begin, unless somebody came meanwhile: then more may come."""
        left_s = self._held_until_s - now_s()
        if self._grew and left_s > 0:
            self._grew = False
            self._start_timer(min(self._initial_delay_s, left_s), self._end_initial_delay)
            return
        self._held_until_s = 0.0
        self._start_timer(self.members.longest_rebalance_s, self._complete_join)
        self._complete_if_all_joined()

    def _complete_if_all_joined(self) -> None:
        if self.state is not GroupState.PREPARING or self._held_until_s or self._pending:
            return
        if all(member.joining is not None for member in self.members):
            self._complete_join()

    def _complete_join(self) -> None:
        """Begin a new generation with those who have joined."""
        self._stop_timer()
        for member in self.members:
            if member.joining is None and member.instance_id is None:
                log.info("group %s: %s did not join in time", self.id, member.id)
                self.members.remove(member)
        joined = [member for member in self.members if member.joining is not None]
        if self.members and not joined:
            # Only static members, all away: their sessions decide.
            self._start_timer(self.members.longest_rebalance_s, self._complete_join)
            return
        self.generation += 1
        if not joined:
            self.state, self.leader, self.protocol = GroupState.EMPTY, "", None
            self._on_stable()
            return
        if self.leader not in {member.id for member in joined}:
            self.leader = joined[0].id
        self.protocol = self.members.elect()
        self.state = GroupState.COMPLETING
        log.info(
            "group %s: generation %d with %d members", self.id, self.generation, len(self.members)
        )
        for member in self.members:
            member.synced = member.joining is None
        for member in joined:
            member.heard_of(now_s())
            member.answer_join(self._joined(member))
        self._start_timer(self.members.longest_rebalance_s, self._drop_unsynced)

    def _joined(self, member: Member) -> JoinResult:
        members = tuple(
            (other.id, other.instance_id, other.metadata(self.protocol))
            for other in self.members
            if member.id == self.leader
        )
        return JoinResult(
            ErrorCode.NONE,
            member.id,
            self.generation,
            self.protocol_type,
            self.protocol,
            self.leader,
            members,
        )

    def _become_stable(self, assignments: Mapping[str, bytes]) -> None:
        self._stop_timer()
        self.state = GroupState.STABLE
        for member in self.members:
            member.assignment = assignments.get(member.id, b"")
        self._on_stable()
        for member in self.members:
            if member.syncing is not None:
                member.heard_of(now_s())
                member.answer_sync(self._assignment(member))

    def _assignment(self, member: Member) -> SyncResult:
        return SyncResult(ErrorCode.NONE, member.assignment, self.protocol_type, self.protocol)

    def _drop_unsynced(self) -> None:
        if self.state is GroupState.COMPLETING:
            for member in self.members:
                if not member.synced:
                    self._remove(member, "it did not sync in time")

    def _remove(self, member: Member, reason: str) -> None:
        log.info("group %s: %s is out: %s", self.id, member.id, reason)
        self.members.remove(member)
        member.answer_join(JoinResult(ErrorCode.UNKNOWN_MEMBER_ID, member.id))
        member.answer_sync(SyncResult(ErrorCode.UNKNOWN_MEMBER_ID))
        if self.leader == member.id:
            self.leader = ""
        self._rebalance(reason)

    def _start_timer(self, delay_s: float, then: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(delay_s, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Let go of everybody; the group may not be used any more."""
        self._stop_timer()
        self.state = GroupState.DEAD
        for member in self.members:
            member.answer_join(JoinResult(ErrorCode.COORDINATOR_NOT_AVAILABLE, member.id))
            member.answer_sync(SyncResult(ErrorCode.COORDINATOR_NOT_AVAILABLE))


def now_s() -> float:
    """The event loop's time."""
    return asyncio.get_running_loop().time()
