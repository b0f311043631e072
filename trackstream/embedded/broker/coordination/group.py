"""One consumer group: the classic protocol of joining, syncing, heartbeats and leaving.

Static members (KIP-345) keep their place while they are away for less than their session timeout.
How a new generation comes about is in `rebalancing`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from trackstream.embedded.broker.coordination.members import (
    JoinRequest,
    JoinResult,
    Member,
    SyncResult,
)
from trackstream.embedded.broker.coordination.rebalancing import GroupState, Rebalancing, now_s
from trackstream.embedded.broker.protocol.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)


class Group(Rebalancing):
    """A group; `on_stable` is called when its membership should be made durable.

    A group without members waits `initial_delay_ms` for more than the first, so that a start of
    several workers costs one rebalance.
    """

    def __init__(
        self, group_id: str, initial_delay_ms: int, on_stable: Callable[[Group], None]
    ) -> None:
        super().__init__(group_id, initial_delay_ms, partial(on_stable, self))

    # Requests

    def join(self, request: JoinRequest) -> JoinResult | asyncio.Future[JoinResult]:  # noqa: PLR0911 - one refusal a line
        """Let a client join; the answer may have to wait for the others."""
        if not self.members.accepts(request, self.protocol_type):
            return JoinResult(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, request.member_id)
        if request.instance_id is not None and not request.member_id:
            return self._join_static(request, request.instance_id)
        if not request.member_id:
            member_id = _new_member_id(request.client_id)
            if request.needs_member_id:
                self._pending[member_id] = now_s() + request.session_timeout_ms / 1000
                return JoinResult(ErrorCode.MEMBER_ID_REQUIRED, member_id)
            return self._add(Member(member_id, request))
        if self._pending.pop(request.member_id, None) is not None:
            return self._add(Member(request.member_id, request))
        error = self.members.check(request.member_id, request.instance_id)
        if error:
            return JoinResult(error, request.member_id)
        return self._join_again(self.members[request.member_id], request)

    def sync(
        self,
        member_id: str,
        instance_id: str | None,
        generation: int,
        protocol: tuple[str | None, str | None],
        assignments: Mapping[str, bytes],
    ) -> SyncResult | asyncio.Future[SyncResult]:
        """Take the leader's assignments, and answer the member's own when they are there."""
        error = self.members.check(member_id, instance_id) or self._check_generation(generation)
        if error:
            return SyncResult(error)
        if protocol[0] not in {None, self.protocol_type} or protocol[1] not in {
            None,
            self.protocol,
        }:
            return SyncResult(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        member = self.members[member_id]
        member.heard_of(now_s())
        if self.state is GroupState.PREPARING:
            return SyncResult(ErrorCode.REBALANCE_IN_PROGRESS)
        if self.state is GroupState.STABLE:
            return self._assignment(member)
        member.synced = True
        if member_id == self.leader:
            self._become_stable(assignments)
            return self._assignment(member)
        member.answer_sync(SyncResult(ErrorCode.UNKNOWN_MEMBER_ID))
        member.syncing = asyncio.get_running_loop().create_future()
        return member.syncing

    def heartbeat(self, member_id: str, instance_id: str | None, generation: int) -> ErrorCode:
        """Keep a member alive, and tell it whether it has to join again."""
        error = self.members.check(member_id, instance_id) or self._check_generation(generation)
        if error:
            return error
        self.members[member_id].heard_of(now_s())
        if self.state is GroupState.PREPARING:
            return ErrorCode.REBALANCE_IN_PROGRESS
        return ErrorCode.NONE

    def leave(self, member_id: str, instance_id: str | None) -> ErrorCode:
        """Let a member go at once; a static one may be named by its instance id alone."""
        if instance_id is not None and not member_id:
            current = self.members.static(instance_id)
            member_id = "" if current is None else current.id
        elif self._pending.pop(member_id, None) is not None:
            self._complete_if_all_joined()
            return ErrorCode.NONE
        error = self.members.check(member_id, instance_id)
        if not error:
            self._remove(self.members[member_id], "it left")
        return error

    def check_commit(self, member_id: str, instance_id: str | None, generation: int) -> ErrorCode:
        """Return whether this member may commit offsets in this generation."""
        if generation < 0 and not member_id and instance_id is None:
            # A consumer that assigns its partitions itself, or an administrator.
            return ErrorCode.UNKNOWN_MEMBER_ID if self.members else ErrorCode.NONE
        error = self.members.check(member_id, instance_id) or self._check_generation(generation)
        if error:
            return error
        self.members[member_id].heard_of(now_s())
        if self.state is GroupState.COMPLETING:
            return ErrorCode.REBALANCE_IN_PROGRESS
        return ErrorCode.NONE

    def expire(self, now_s: float) -> None:
        """Remove who has not been heard of for too long."""
        for member_id in [key for key, deadline in self._pending.items() if deadline < now_s]:
            del self._pending[member_id]
            self._complete_if_all_joined()
        for member in self.members:
            if member in self.members and not member.is_waiting and member.deadline_s < now_s:
                self._remove(member, "its session timed out")

    @property
    def is_idle(self) -> bool:
        """Whether nobody is in the group, or about to be."""
        return not self.members and not self._pending

    def describe(self, member: Member) -> bytes:
        """Return a member's metadata for the chosen protocol."""
        return member.metadata(self.protocol) if self.state is GroupState.STABLE else b""

    # Joining

    def _add(self, member: Member) -> asyncio.Future[JoinResult]:
        self.protocol_type = member.protocol_type
        self.members.add(member)
        self._grew = True
        return self._rejoin(member, "a member joined")

    def _join_static(
        self, request: JoinRequest, instance_id: str
    ) -> JoinResult | asyncio.Future[JoinResult]:
        """A static member starts: it takes the place of its last incarnation, if there is one."""
        member_id = _new_member_id(instance_id)
        old = self.members.static(instance_id)
        if old is None:
            return self._add(Member(member_id, request))
        log.info("group %s: %s takes the place of %s", self.id, member_id, old.id)
        old.answer_join(JoinResult(ErrorCode.FENCED_INSTANCE_ID, old.id))
        old.answer_sync(SyncResult(ErrorCode.FENCED_INSTANCE_ID))
        member = Member(member_id, request)
        member.assignment = old.assignment
        member.synced = old.synced
        self.members.replace(old, member)
        leader_before = self.leader
        if self.leader == old.id:
            self.leader = member_id
        member.heard_of(now_s())
        same = old.metadata(self.protocol) == member.metadata(self.protocol)
        if self.state is GroupState.STABLE and same and self.members.elect() == self.protocol:
            self._on_stable()
            # The leader of before is named, so that a returning leader does not assign anew:
            # nobody would hear of it (as Kafka's coordinator does, KIP-345).
            return self._joined(member)._replace(leader=leader_before, members=())
        return self._rejoin(member, "a static member came back changed")

    def _join_again(
        self, member: Member, request: JoinRequest
    ) -> JoinResult | asyncio.Future[JoinResult]:
        changed = member.protocols != request.protocols
        member.update(request)
        member.heard_of(now_s())
        if self.state is GroupState.COMPLETING and not changed:
            return self._joined(member)
        if self.state is GroupState.STABLE and not changed and member.id != self.leader:
            return self._joined(member)
        return self._rejoin(member, "a member joined again")

    def _rejoin(self, member: Member, reason: str) -> asyncio.Future[JoinResult]:
        member.answer_join(JoinResult(ErrorCode.UNKNOWN_MEMBER_ID, member.id))
        waiting = member.joining = asyncio.get_running_loop().create_future()
        self._rebalance(reason)
        return waiting

    def _check_generation(self, generation: int) -> ErrorCode:
        return ErrorCode.NONE if generation == self.generation else ErrorCode.ILLEGAL_GENERATION

    # Durability

    def dump(self) -> dict[str, Any]:
        """Return the group as JSON values."""
        return {
            "generation": self.generation,
            "protocol_type": self.protocol_type,
            "protocol": self.protocol,
            "leader": self.leader,
            "members": self.members.dump(),
        }

    def restore(self, dumped: dict[str, Any]) -> None:
        """Take the group from `dump`: its members have their session timeout to be heard of."""
        self.generation = dumped["generation"]
        self.protocol_type = dumped["protocol_type"]
        self.protocol = dumped["protocol"]
        self.leader = dumped["leader"]
        self.members.restore(dumped["members"], now_s())
        self.state = GroupState.STABLE if self.members else GroupState.EMPTY


def _new_member_id(prefix: str) -> str:
    return f"{prefix or 'consumer'}-{uuid.uuid4()}"
