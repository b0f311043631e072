"""A call again and again, while what it needs is away: told once, and once that it is back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, TypeVar

from trackstream.storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GivenUpError", "patiently"]

_log = logging.getLogger(__name__)

_BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

T = TypeVar("T")


class GivenUpError(Exception):
    """Something stays undone, because it is not wanted any more."""


async def patiently(
    call: Callable[[], T],
    *,
    name: str,
    is_away: Callable[[Exception], bool],
    wanted: Callable[[], bool],
    stop: asyncio.Event,
) -> T:
    """The result of the call, made in a thread, however long what it needs is away.

    Args:
        call: May be repeated without harm.
        name: Who waits, as logs say it.
        is_away: Whether an error says that trying again may help; others are raised.
        wanted: Whether to try again; asked after each failure.
        stop: When set, it is not tried again, either.

    Raises:
        GivenUpError: It was not wanted any more when it had failed.
    """
    tries = 0
    while True:
        try:
            result = await asyncio.to_thread(call)
        except Exception as error:
            if not is_away(error):
                raise
            if tries == 0:
                said = error if isinstance(error, StorageError) else repr(error)
                _log.warning("%s waits: %s", name, said)
            if stop.is_set() or not wanted():
                raise GivenUpError from error
            with contextlib.suppress(TimeoutError):
                pause_s = _BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)]
                await asyncio.wait_for(stop.wait(), pause_s)
            tries += 1
        else:
            if tries:
                _log.warning("%s goes on after %d tries", name, tries)
            return result
