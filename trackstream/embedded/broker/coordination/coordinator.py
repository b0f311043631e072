"""All consumer groups: found by id, made durable, expired."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from trackstream.embedded.broker.coordination.group import Group
from trackstream.embedded.broker.coordination.members import JoinRequest, JoinResult
from trackstream.embedded.broker.coordination.rebalancing import GroupState
from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.storage.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trackstream.embedded.broker.coordination.offsets import Offsets

log = logging.getLogger(__name__)

SWEEP_S = 0.1
"""How often sessions are looked at."""


class Groups:
    """The consumer groups and their memberships, which outlive a restart of the broker.

    Session timeouts are accepted between the two bounds (ms); a group that has been empty for
    `offsets_retention_ms` loses its offsets.
    """

    def __init__(
        self,
        path: Path,
        on_append: Callable[[Journal], None],
        offsets: Offsets,
        *,
        initial_delay_ms: int,
        min_session_timeout_ms: int,
        max_session_timeout_ms: int,
        offsets_retention_ms: int,
    ) -> None:
        self._groups: dict[str, Group] = {}
        self._offsets = offsets
        self._initial_delay_ms = initial_delay_ms
        self._session_bounds = range(min_session_timeout_ms, max_session_timeout_ms + 1)
        self._offsets_retention_ms = offsets_retention_ms
        self._journal = Journal(path, self._records, on_append)

    def open(self) -> None:
        """Read the memberships of before."""
        dumps: dict[str, Any] = {}
        for record in self._journal.load():
            match record:
                case ["group", group_id, dumped]:
                    dumps[group_id] = dumped
                case ["deleted", group_id]:
                    dumps.pop(group_id, None)
        for group_id, dumped in dumps.items():
            self._make(group_id).restore(dumped)

    def _records(self) -> Iterator[Any]:
        for group in self._groups.values():
            if group.state in {GroupState.STABLE, GroupState.EMPTY}:
                yield ["group", group.id, group.dump()]

    def get(self, group_id: str) -> Group | None:
        """Return a group that has, or had, members."""
        return self._groups.get(group_id)

    def all(self) -> dict[str, Group | None]:
        """Return all groups by id; those that only have offsets are None."""
        return dict.fromkeys(self._offsets.groups()) | self._groups

    def join(self, group_id: str, request: JoinRequest) -> JoinResult | asyncio.Future[JoinResult]:
        """Let a client join a group, which is made if need be."""
        if not group_id:
            return JoinResult(ErrorCode.INVALID_GROUP_ID, request.member_id)
        if request.session_timeout_ms not in self._session_bounds:
            return JoinResult(ErrorCode.INVALID_SESSION_TIMEOUT, request.member_id)
        group = self._groups.get(group_id)
        if group is None:
            if request.member_id:
                return JoinResult(ErrorCode.UNKNOWN_MEMBER_ID, request.member_id)
            group = self._make(group_id)
        return group.join(request)

    def check_commit(
        self, group_id: str, member_id: str, instance_id: str | None, generation: int
    ) -> ErrorCode:
        """Return whether a member of this generation may commit offsets."""
        group = self._groups.get(group_id)
        if group is not None:
            return group.check_commit(member_id, instance_id, generation)
        return ErrorCode.NONE if generation < 0 else ErrorCode.ILLEGAL_GENERATION

    def delete(self, group_id: str) -> ErrorCode:
        """Forget a group and its offsets, if nobody is in it."""
        group = self._groups.get(group_id)
        if group is None and not self._offsets.of(group_id):
            return ErrorCode.GROUP_ID_NOT_FOUND
        if group is not None and not group.is_idle:
            return ErrorCode.NON_EMPTY_GROUP
        self._forget(group_id)
        return ErrorCode.NONE

    async def sweep(self) -> None:
        """Expire members, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            for group in list(self._groups.values()):
                group.expire(loop.time())

    def expire_offsets(self) -> None:
        """Forget groups that have been empty, and have not committed, for too long."""
        before_ms = int(time.time() * 1000) - self._offsets_retention_ms
        for group_id, group in self.all().items():
            # A group that never committed has nothing to be kept for: its newest commit is at 0.
            newest_ms = self._offsets.newest_commit_ms(group_id)
            if (group is None or group.is_idle) and newest_ms < before_ms:
                log.info("group %s: nobody is in it, and its offsets have expired", group_id)
                self._forget(group_id)

    def close(self) -> None:
        """Answer everybody who waits, and close the journal."""
        for group in self._groups.values():
            group.close()
        self._journal.close()

    def _make(self, group_id: str) -> Group:
        group = Group(group_id, self._initial_delay_ms, self._save)
        self._groups[group_id] = group
        return group

    def _save(self, group: Group) -> None:
        try:
            self._journal.append(["group", group.id, group.dump()])
        except OSError as error:
            # The group works on; after a restart of the broker its members join again.
            log.warning("group %s: membership not saved: %s", group.id, error)

    def _forget(self, group_id: str) -> None:
        self._offsets.delete_group(group_id)
        group = self._groups.pop(group_id, None)
        if group is not None:
            group.close()
            self._journal.append(["deleted", group_id])
