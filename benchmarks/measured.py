"""What a stage of the pipeline has shown, and how a process is watched while it works."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Sampled", "StageResult", "TooFewEventsError", "watched"]

_POLL_S = 0.1
_TIMEOUT_S = 300.0


class TooFewEventsError(Exception):
    """All were done at once, so that there is nothing to measure between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """One run of one stage."""

    stage: str
    events: int
    batch: int
    """Events in one request, or in one message of `raw`."""
    events_per_s: float
    cpu_us_per_event: float
    """CPU time of the stage's own process, not of the servers that it talks to."""

    def __str__(self) -> str:
        return (
            f"{self.stage:<10} {self.events:>8,} events, {self.batch:>3} at once: "
            f"{self.events_per_s:>8,.0f} events/s, {self.cpu_us_per_event:>7.1f} us CPU per event"
        )


@dataclass(frozen=True, slots=True)
class Sampled:
    """Rate and cost between a tenth of the events and all of them: start-up does not count."""

    events_per_s: float
    cpu_us_per_event: float


def watched(pid: int, count: Callable[[], int], wanted: int) -> Sampled:
    """Watch a process, and what it starts, until it has done what is wanted.

    Args:
        pid: the process.
        count: how many events are done now.
        wanted: when to end.

    Raises:
        TimeoutError: it takes more than five minutes.
        TooFewEventsError: it was done between two looks; the message says to take more.
    """
    process = psutil.Process(pid)
    samples: list[tuple[float, float, int]] = []
    began_s = time.monotonic()
    while not samples or samples[-1][2] < wanted:
        if time.monotonic() - began_s > _TIMEOUT_S:
            raise TimeoutError(f"{count()} of {wanted} events were done")
        time.sleep(_POLL_S)
        done = count()
        if done * 10 >= wanted:
            samples.append((time.monotonic(), _cpu_s(process), done))
    (began, cpu_began, first), (ended, cpu_ended, last) = samples[0], samples[-1]
    if first == last:
        raise TooFewEventsError(f"{wanted:,} events are done too soon to be measured: take more")
    return Sampled(
        events_per_s=(last - first) / (ended - began),
        cpu_us_per_event=(cpu_ended - cpu_began) / (last - first) * 1e6,
    )


def _cpu_s(process: psutil.Process) -> float:
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        times = one.cpu_times()
        total += times.user + times.system
    return total
