"""A member of a consumer group, and what it asks and is answered when it joins."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import asyncio

    from trackstream.embedded.broker.protocol.errors import ErrorCode

Protocols = tuple[tuple[str, bytes], ...]
"""Names of assignment strategies, best first, each with the member's metadata for it."""


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What a client says when it joins; times in ms.

    `needs_member_id` is whether a new client is sent back to come again with an id (KIP-394).
    """

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    protocols: Protocols
    needs_member_id: bool


class JoinResult(NamedTuple):
    """The answer to a join; `members` (id, instance id, metadata) only for the leader."""

    error: ErrorCode
    member_id: str = ""
    generation: int = -1
    protocol_type: str | None = None
    protocol: str | None = None
    leader: str = ""
    members: tuple[tuple[str, str | None, bytes], ...] = ()


class SyncResult(NamedTuple):
    """The answer to a sync."""

    error: ErrorCode
    assignment: bytes = b""
    protocol_type: str | None = None
    protocol: str | None = None


class Member:
    """A member; `deadline_s` (loop time) is when it is given up unless it is heard of.

    While it waits for an answer (`joining`, `syncing`) it is alive by definition.
    """

    def __init__(self, member_id: str, request: JoinRequest) -> None:
        self.id = member_id
        self.instance_id = request.instance_id
        self.assignment = b""
        self.deadline_s = 0.0
        self.joining: asyncio.Future[JoinResult] | None = None
        self.syncing: asyncio.Future[SyncResult] | None = None
        self.synced = False
        self.update(request)

    def update(self, request: JoinRequest) -> None:
        """Take over what a joining client says about itself."""
        self.client_id = request.client_id
        self.client_host = request.client_host
        self.session_timeout_ms = request.session_timeout_ms
        self.rebalance_timeout_ms = request.rebalance_timeout_ms
        self.protocol_type = request.protocol_type
        self.protocols = request.protocols

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for an answer of ours."""
        return self.joining is not None or self.syncing is not None

    def heard_of(self, now_s: float) -> None:
        """Begin its session timeout anew."""
        self.deadline_s = now_s + self.session_timeout_ms / 1000

    def metadata(self, protocol: str | None) -> bytes:
        """Return its metadata for a protocol."""
        return dict(self.protocols).get(protocol or "", b"")

    def answer_join(self, result: JoinResult) -> None:
        """Answer its waiting join, if there is one."""
        waiting, self.joining = self.joining, None
        if waiting is not None and not waiting.done():
            waiting.set_result(result)

    def answer_sync(self, result: SyncResult) -> None:
        """Answer its waiting sync, if there is one."""
        waiting, self.syncing = self.syncing, None
        if waiting is not None and not waiting.done():
            waiting.set_result(result)

    def dump(self) -> dict[str, Any]:
        """Return the member as JSON values."""
        return {
            "id": self.id,
            "instance_id": self.instance_id,
            "client_id": self.client_id,
            "client_host": self.client_host,
            "session_timeout_ms": self.session_timeout_ms,
            "rebalance_timeout_ms": self.rebalance_timeout_ms,
            "protocol_type": self.protocol_type,
            "protocols": [[name, _to_text(metadata)] for name, metadata in self.protocols],
            "assignment": _to_text(self.assignment),
        }

    @classmethod
    def restore(cls, dumped: dict[str, Any]) -> Member:
        """Return the member from `dump`."""
        request = JoinRequest(
            member_id=dumped["id"],
            instance_id=dumped["instance_id"],
            client_id=dumped["client_id"],
            client_host=dumped["client_host"],
            session_timeout_ms=dumped["session_timeout_ms"],
            rebalance_timeout_ms=dumped["rebalance_timeout_ms"],
            protocol_type=dumped["protocol_type"],
            protocols=tuple(
                (name, base64.b64decode(metadata)) for name, metadata in dumped["protocols"]
            ),
            needs_member_id=False,
        )
        member = cls(dumped["id"], request)
        member.assignment = base64.b64decode(dumped["assignment"])
        return member


def _to_text(data: bytes) -> str:
    return base64.b64encode(data).decode()
