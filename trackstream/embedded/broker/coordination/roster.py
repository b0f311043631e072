"""Who is in a consumer group, by member id and, for static members, by instance id."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from trackstream.embedded.broker.coordination.members import JoinRequest, Member
from trackstream.embedded.broker.protocol.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Iterator


class Roster:
    """The members of one group, in the order in which they came."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._static: dict[str, str] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, member: Member) -> bool:
        return self._members.get(member.id) is member

    def __getitem__(self, member_id: str) -> Member:
        return self._members[member_id]

    def static(self, instance_id: str) -> Member | None:
        """Return the member that has this instance id now."""
        return self._members.get(self._static.get(instance_id, ""))

    def add(self, member: Member) -> None:
        """Take in a member."""
        self._members[member.id] = member
        if member.instance_id is not None:
            self._static[member.instance_id] = member.id

    def remove(self, member: Member) -> None:
        """Let a member go."""
        self._members.pop(member.id, None)
        if member.instance_id is not None and self._static.get(member.instance_id) == member.id:
            del self._static[member.instance_id]

    def replace(self, old: Member, new: Member) -> None:
        """Put a static member in the place of its last incarnation."""
        self._members = {
            new.id if member is old else member_id: new if member is old else member
            for member_id, member in self._members.items()
        }
        if new.instance_id is not None:
            self._static[new.instance_id] = new.id

    def check(self, member_id: str, instance_id: str | None) -> ErrorCode:
        """Return whether this is a member, and not one that another has replaced."""
        if instance_id is not None:
            current = self._static.get(instance_id)
            if current is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            if current != member_id:
                return ErrorCode.FENCED_INSTANCE_ID
        return ErrorCode.NONE if member_id in self._members else ErrorCode.UNKNOWN_MEMBER_ID

    def accepts(self, request: JoinRequest, protocol_type: str) -> bool:
        """Return whether a client shares an assignment strategy with all others."""
        if not request.protocol_type or not request.protocols:
            return False
        others = [
            member
            for member in self
            if member.id != request.member_id
            and (request.instance_id is None or member.instance_id != request.instance_id)
        ]
        wanted = {name for name, _ in request.protocols}
        return not others or (
            request.protocol_type == protocol_type and bool(wanted & _common(others))
        )

    def elect(self) -> str | None:
        """Choose the strategy that all know and most prefer."""
        common = _common(list(self))
        votes = Counter(
            next(name for name, _ in member.protocols if name in common)
            for member in self
            if common
        )
        return votes.most_common(1)[0][0] if votes else None

    @property
    def longest_rebalance_s(self) -> float:
        """How long the most patient member lets a rebalance take."""
        return max((member.rebalance_timeout_ms for member in self), default=0) / 1000

    def dump(self) -> list[dict[str, Any]]:
        """Return the members as JSON values."""
        return [member.dump() for member in self]

    def restore(self, dumped: list[dict[str, Any]], now_s: float) -> None:
        """Take the members from `dump`; each has its session timeout to be heard of."""
        for item in dumped:
            member = Member.restore(item)
            member.synced = True
            member.heard_of(now_s)
            self.add(member)


def _common(members: list[Member]) -> set[str]:
    """Return the strategies that all members know."""
    known = [{name for name, _ in member.protocols} for member in members]
    return set.intersection(*known) if known else set()
