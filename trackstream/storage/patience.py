"""Bounds on waiting that cost next to nothing, for what nearly never has to wait for so long.

`asyncio.timeout` makes and cancels a timer of the loop each time: three of them around a click's
way to the log were a twelfth of all that it cost. Everyone waits for the same time here, so what
began first ends first, and one timer for the oldest does for all.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Patience"]


class Patience:
    """Makes `with patience.limit():` blocks, which raise TimeoutError when time is over.

    As `asyncio.timeout`: the task inside is cancelled, and the TimeoutError raised outside. Of one
    event loop.

    Args:
        timeout_s: how long each block may take.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._begun: deque[Limit] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> Limit:
        """A block that begins when it is entered, once."""
        return Limit(self)

    def begin(self, limit: Limit) -> None:
        """Watch a block that was entered; for `Limit`."""
        begun = self._begun
        while begun and begun[0].task is None:  # ended: nearly always, and in order
            begun.popleft()
        limit.ends_s = time.monotonic() + self._timeout_s
        begun.append(limit)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now_s = time.monotonic()
        begun = self._begun
        while begun and (begun[0].task is None or begun[0].ends_s <= now_s):
            begun.popleft().expire()
        if begun:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(begun[0].ends_s - now_s, self._expire)


class Limit:
    """One block; see `Patience`."""

    __slots__ = ("_cancelling", "_expired", "_patience", "ends_s", "task")

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._expired = False
        self._cancelling = 0
        self.ends_s = 0.0
        self.task: asyncio.Task[object] | None = None
        """Who is inside; None: nobody is any more."""

    def expire(self) -> None:
        """End the block, if anyone is inside."""
        if self.task is not None:
            self._expired = True
            self.task.cancel()

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            RuntimeError: outside of a task.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be limited")
        self.task = task
        self._cancelling = task.cancelling()
        self._patience.begin(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """End.

        Raises:
            TimeoutError: time was over, and nobody else has cancelled the task meanwhile.
        """
        task, self.task = self.task, None
        if (
            self._expired
            and task is not None
            and task.uncancel() <= self._cancelling
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise TimeoutError from error
