"""The metrics of several processes: each writes its own to a file now and then, any can add up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, NoReturn

import msgspec

from trackstream.http.metrics import Metrics, ended, merged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["SharedMetrics"]

_INTERVAL_S = 1.0
_ENDED_S = 5.0
"""Whoever has not written for so long has ended."""


class SharedMetrics:
    """One process's file among others in a folder.

    A process that has ended leaves its file, so that sums never shrink.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{os.getpid()}.metrics"

    def gather(self, own: Metrics) -> Metrics:
        """One's own metrics now, and those of the others a second ago at most."""
        parts = [own]
        for path in self._path.parent.glob("*.metrics"):
            if path != self._path:
                with contextlib.suppress(OSError, msgspec.MsgspecError):
                    part = msgspec.msgpack.decode(path.read_bytes(), type=Metrics)
                    is_old = time.time() - path.stat().st_mtime > _ENDED_S
                    parts.append(ended(part) if is_old else part)
        return merged(parts)

    def write(self, own: Metrics) -> None:
        """Replace the file at once, so that nobody reads half of it."""
        draft = self._path.with_suffix(".draft")
        draft.write_bytes(msgspec.msgpack.encode(own))
        draft.replace(self._path)

    async def keep_writing(self, own: Metrics, refresh: Callable[[], None]) -> NoReturn:
        """Write every second until cancelled, after `refresh` has brought them up to date."""
        while True:
            refresh()
            self.write(own)
            await asyncio.sleep(_INTERVAL_S)
