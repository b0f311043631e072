"""Looks at processes from outside: which exist, and whether they end."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import psutil

from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def family(pid: int | None) -> list[psutil.Process]:
    """The process and all that descend from it, now."""
    assert pid is not None
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def survivors(
    processes: Sequence[psutil.Process], timeout_s: float = PATIENCE_S
) -> list[psutil.Process]:
    """Those that still run after the timeout; returns at once when none does."""
    _, alive = psutil.wait_procs(processes, timeout=timeout_s, callback=None)
    # An orphan whose new parent does not collect it has ended all the same.
    return [process for process in alive if process.is_running() and not _is_zombie(process)]


def command_lines(pid: int | None) -> list[str]:
    """Those of the process and of all that descend from it and have not ended."""
    found = []
    for process in family(pid):
        with suppress(psutil.NoSuchProcess):  # which a zombie is, too
            found.append(" ".join(process.cmdline()))
    return found


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class Parent:
    """A program of its own that starts children, to be killed as a whole program is.

    It must print one line of JSON when it is ready, and then wait. Killed at the end of the block.
    """

    def __init__(
        self, script: str, *args: object, python: str = sys.executable, **popen: Any
    ) -> None:
        self.process = subprocess.Popen(
            [python, "-c", script, *map(str, args)], stdout=subprocess.PIPE, text=True, **popen
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        self.report: Mapping[str, Any] = json.loads(line) if line else {}

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
