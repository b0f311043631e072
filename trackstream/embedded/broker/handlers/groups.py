"""Membership of consumer groups: join, sync, heartbeat, leave; and what is known of groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackstream.embedded.broker.coordination.members import (
    JoinRequest,
    JoinResult,
    SyncResult,
)
from trackstream.embedded.broker.coordination.rebalancing import GroupState
from trackstream.embedded.broker.protocol.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from trackstream.embedded.broker.broker import Broker
    from trackstream.embedded.broker.coordination.group import Group
    from trackstream.embedded.broker.request import Answer, Request

_MEMBER_ID_REQUIRED_SINCE = 4


def join_group(broker: Broker, request: Request) -> Answer | Awaitable[Answer]:
    """Let a client into a group; answered when its generation begins."""
    body = request.body
    result = broker.groups.join(
        body["group_id"],
        JoinRequest(
            member_id=body["member_id"],
            instance_id=body["group_instance_id"],
            client_id=request.client_id,
            client_host=request.client_host,
            session_timeout_ms=body["session_timeout_ms"],
            rebalance_timeout_ms=body["session_timeout_ms"]
            if body["rebalance_timeout_ms"] < 0
            else body["rebalance_timeout_ms"],
            protocol_type=body["protocol_type"],
            protocols=tuple(
                (protocol["name"], bytes(protocol["metadata"])) for protocol in body["protocols"]
            ),
            needs_member_id=request.version >= _MEMBER_ID_REQUIRED_SINCE,
        ),
    )
    if isinstance(result, JoinResult):
        return _joined(result)
    return _when_joined(result)


async def _when_joined(waiting: Awaitable[JoinResult]) -> Answer:
    return _joined(await waiting)


def _joined(result: JoinResult) -> dict[str, Any]:
    return {
        "error_code": result.error,
        "generation_id": result.generation,
        "protocol_type": result.protocol_type,
        "protocol_name": result.protocol or "",
        "leader": result.leader,
        "member_id": result.member_id,
        "members": [
            {"member_id": member_id, "group_instance_id": instance_id, "metadata": metadata}
            for member_id, instance_id, metadata in result.members
        ],
    }


def sync_group(broker: Broker, request: Request) -> Answer | Awaitable[Answer]:
    """Take the leader's assignments; answered when they are known."""
    body = request.body
    group = broker.groups.get(body["group_id"])
    if group is None:
        return {"error_code": ErrorCode.UNKNOWN_MEMBER_ID}
    result = group.sync(
        body["member_id"],
        body["group_instance_id"],
        body["generation_id"],
        (body["protocol_type"], body["protocol_name"]),
        {item["member_id"]: bytes(item["assignment"]) for item in body["assignments"]},
    )
    if isinstance(result, SyncResult):
        return _synced(result)
    return _when_synced(result)


async def _when_synced(waiting: Awaitable[SyncResult]) -> Answer:
    return _synced(await waiting)


def _synced(result: SyncResult) -> dict[str, Any]:
    return {
        "error_code": result.error,
        "protocol_type": result.protocol_type,
        "protocol_name": result.protocol,
        "assignment": result.assignment,
    }


def heartbeat(broker: Broker, request: Request) -> Answer:
    """Keep a member alive."""
    body = request.body
    group = broker.groups.get(body["group_id"])
    if group is None:
        return {"error_code": ErrorCode.UNKNOWN_MEMBER_ID}
    return {
        "error_code": group.heartbeat(
            body["member_id"], body["group_instance_id"], body["generation_id"]
        )
    }


def leave_group(broker: Broker, request: Request) -> Answer:
    """Let members go: one (before version 3), or several."""
    group = broker.groups.get(request.body["group_id"])
    members = request.body["members"] or [
        {"member_id": request.body["member_id"], "group_instance_id": None}
    ]
    answers = [
        {
            "member_id": member["member_id"],
            "group_instance_id": member["group_instance_id"],
            "error_code": ErrorCode.UNKNOWN_MEMBER_ID
            if group is None
            else group.leave(member["member_id"], member["group_instance_id"]),
        }
        for member in members
    ]
    if request.version < 3:
        return {"error_code": answers[0]["error_code"]}
    return {"error_code": ErrorCode.NONE, "members": answers}


def describe_groups(broker: Broker, request: Request) -> Answer:
    """Answer the state and the members of groups."""
    known = broker.groups.all()
    return {
        "groups": [
            _describe(group_id, known.get(group_id), exists=group_id in known)
            for group_id in request.body["groups"]
        ]
    }


def _describe(group_id: str, group: Group | None, *, exists: bool) -> dict[str, Any]:
    if group is None:
        state = GroupState.EMPTY if exists else GroupState.DEAD
        return {"error_code": ErrorCode.NONE, "group_id": group_id, "state": state.value}
    return {
        "error_code": ErrorCode.NONE,
        "group_id": group_id,
        "state": group.state.value,
        "protocol_type": group.protocol_type,
        "protocol_data": group.protocol or "",
        "members": [
            {
                "member_id": member.id,
                "group_instance_id": member.instance_id,
                "client_id": member.client_id,
                "client_host": f"/{member.client_host}",
                "metadata": group.describe(member),
                "assignment": member.assignment,
            }
            for member in group.members
        ],
    }


def list_groups(broker: Broker, request: Request) -> Answer:
    """Answer all groups, or those in certain states."""
    states = {state.lower() for state in request.body["states_filter"]}
    types = {kind.lower() for kind in request.body["types_filter"]}
    listed = [
        {
            "group_id": group_id,
            "protocol_type": "" if group is None else group.protocol_type,
            "state": (GroupState.EMPTY if group is None else group.state).value,
            "type": "classic",
        }
        for group_id, group in broker.groups.all().items()
    ]
    return {
        "error_code": ErrorCode.NONE,
        "groups": [
            item
            for item in listed
            if (not states or item["state"].lower() in states)
            and (not types or item["type"] in types)
        ],
    }


def delete_groups(broker: Broker, request: Request) -> Answer:
    """Forget groups that nobody is in."""
    return {
        "results": [
            {"group_id": group_id, "error_code": _delete(broker, group_id)}
            for group_id in request.body["groups"]
        ]
    }


def _delete(broker: Broker, group_id: str) -> ErrorCode:
    try:
        return broker.groups.delete(group_id)
    except OSError:
        return ErrorCode.COORDINATOR_NOT_AVAILABLE
