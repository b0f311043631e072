"""File descriptors: each connection takes one, and the system gives few unless it is asked."""

from __future__ import annotations

import logging
import resource

__all__ = ["connections_for"]

_log = logging.getLogger(__name__)

_RESERVED = 256
"""For Kafka, PostgreSQL, Redis, the spool, files, and connections that are told of too many."""
_MOST = 2**20
"""What is asked for at most: some programs that are started by us prepare for all of them."""


def connections_for(wanted: int) -> int:
    """How many connections this process may have: as many as wanted, if there is room.

    The process's soft limit is raised to its hard one; beyond that only an operator can go.

    Args:
        wanted: by the settings; 0: any number.
    """
    soft = _raised()
    room = soft - min(_RESERVED, soft // 2)
    if not wanted:
        return room
    if room < wanted:
        _log.warning(
            "TRACKSTREAM_MAX_CONNECTIONS is %d, but this process may have %d file descriptors: %d "
            "connections at most; raise its limit (ulimit -n, LimitNOFILE=, --ulimit nofile=)",
            wanted, soft, room,
        )  # fmt: skip
    return min(wanted, room)


def _raised() -> int:
    """The soft limit after it was raised, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError) as error:
            _log.info("the limit of file descriptors stays %d: %s", soft, error)
        else:
            soft = most
    return _MOST if soft == resource.RLIM_INFINITY else soft
