"""Counts and durations of the agents, for `/metrics` in Prometheus' text format."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Metrics"]

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_COUNTERS = {
    "trackstream_messages_in_total": "Kafka messages taken by an agent",
    "trackstream_events_in_total": "Events in the envelopes taken",
    "trackstream_records_out_total": "Records written to a topic",
    "trackstream_table_writes_total": "Table keys written",
    "trackstream_batches_total": "Batches finished",
    "trackstream_duplicates_total": "Events dropped because their id was seen before",
    "trackstream_states_forgotten_total": "States deleted because nothing changed them for so long",
    "trackstream_late_news_total": "Answers about conversions that are forgotten",
    "trackstream_contested_answers_total": "Answers about another subject's conversion of one id",
    "trackstream_rejected_total": "Messages refused, by reason",
}
_HISTOGRAM = "trackstream_step_seconds"

Labels = tuple[tuple[str, str], ...]


class _Histogram:
    __slots__ = ("buckets", "count", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BUCKETS_S) + 1)
        self.count = 0
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.buckets[bisect_left(_BUCKETS_S, value)] += 1
        self.count += 1
        self.total += value


class Metrics:
    """Counters by name and labels, and durations of steps by agent."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, defaultdict[Labels, int]] = defaultdict(
            lambda: defaultdict(int)
        )
        self._steps: defaultdict[Labels, _Histogram] = defaultdict(_Histogram)

    def count(self, name: str, by: int = 1, /, **labels: str) -> None:
        """Add to a counter; `name` is one of those described above."""
        if by:
            self._counts[name][tuple(labels.items())] += by

    @contextmanager
    def timed(self, agent: str, step: str) -> Iterator[None]:
        """Measure what happens inside as one run of an agent's step."""
        began = perf_counter()
        try:
            yield
        finally:
            self._steps[("agent", agent), ("step", step)].observe(perf_counter() - began)

    def value(self, name: str, **labels: str) -> int:
        """The counter's value; 0 if it was never counted."""
        return self._counts[name][tuple(labels.items())]

    def render(self) -> str:
        """Everything, in text format 0.0.4."""
        lines: list[str] = []
        for name, text in _COUNTERS.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} counter"]
            lines += [f"{name}{_braced(key)} {n}" for key, n in self._counts[name].items()]
        lines += [f"# HELP {_HISTOGRAM} Duration of a batch's steps"]
        lines += [f"# TYPE {_HISTOGRAM} histogram"]
        for labels, histogram in self._steps.items():
            so_far = 0
            for bound, n in zip((*map(str, _BUCKETS_S), "+Inf"), histogram.buckets, strict=True):
                so_far += n
                lines.append(f"{_HISTOGRAM}_bucket{_braced((*labels, ('le', bound)))} {so_far}")
            lines.append(f"{_HISTOGRAM}_sum{_braced(labels)} {histogram.total:.6f}")
            lines.append(f"{_HISTOGRAM}_count{_braced(labels)} {histogram.count}")
        return "\n".join(lines) + "\n"


def _braced(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
