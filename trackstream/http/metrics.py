"""Counters of the collector in the Prometheus text format (version 0.0.4).

Our own and not prometheus_client: that adds locks, and memory-mapped files for several
processes, to every increment; here an increment is one addition in a dict, and processes only meet
when someone asks (`merged`). A new label value starts at zero with its first increment.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "Counter",
    "Gauge",
    "Histogram",
    "Metrics",
    "Summary",
    "counter_text",
    "ended",
    "merged",
    "render",
]

Labels = tuple[str, ...]
_PREFIX = "trackstream_collector_"


class Counter(msgspec.Struct):
    """A number that only grows, for each combination of label values."""

    name: str
    help: str
    label_names: Labels = ()
    values: dict[Labels, float] = {}

    def add(self, labels: Labels = (), amount: float = 1) -> None:
        """Grow by `amount`."""
        self.values[labels] = self.values.get(labels, 0) + amount


class Summary(msgspec.Struct):
    """How often something was done and how long that took, for each value of one label."""

    name: str
    help: str
    label_name: str
    values: dict[str, list[float]] = {}
    """Count and seconds."""

    def observe(self, label: str, seconds: float, count: float = 1) -> None:
        """Count one, or several, that took this long together."""
        entry = self.values.get(label)
        if entry is None:
            self.values[label] = [count, seconds]
        else:
            entry[0] += count
            entry[1] += seconds


class Histogram(msgspec.Struct):
    """How often something took how long, in seconds."""

    name: str
    help: str
    bounds_s: tuple[float, ...] = (
        0.001,
        0.0025,
        0.005,
        0.01,
        0.025,
        0.05,
        0.1,
        0.25,
        0.5,
        1,
        2.5,
        10,
    )
    counts: list[int] = []
    total_s: float = 0

    def observe(self, seconds: float) -> None:
        """Count one that took this long."""
        if not self.counts:
            self.counts = [0] * (len(self.bounds_s) + 1)
        self.counts[bisect.bisect_left(self.bounds_s, seconds)] += 1
        self.total_s += seconds


class Gauge(msgspec.Struct):
    """A number that comes and goes; of several processes the sum, or the largest."""

    name: str
    help: str
    takes: Literal["sum", "largest"] = "sum"
    value: float = 0


def _counter(name: str, help_text: str, *label_names: str) -> Counter:
    return Counter(_PREFIX + name, help_text, label_names)


class Metrics(msgspec.Struct):
    """Everything that one process of the collector counts."""

    requests: Counter = msgspec.field(
        default_factory=lambda: _counter(
            "requests_total", "Requests by route and status.", "route", "status"
        )
    )
    events: Counter = msgspec.field(
        default_factory=lambda: _counter("events_accepted_total", "Events accepted.", "route")
    )
    refusals: Counter = msgspec.field(
        default_factory=lambda: _counter(
            "refusals_total", "Requests and events refused, by reason.", "reason"
        )
    )
    marked: Counter = msgspec.field(
        default_factory=lambda: _counter(
            "definition_marks_total",
            "What accepted events have against their app's definitions (lenient), by reason.",
            "reason",
        )
    )
    touches: Counter = msgspec.field(
        default_factory=lambda: _counter(
            "touches_total",
            "Clicks and impressions: recorded, or why not (bot, prefetch, repeat, lost).",
            "kind",
            "result",
        )
    )
    library: Counter = msgspec.field(
        default_factory=lambda: _counter(
            "segment_library_total",
            "What Segment's browser library counts of itself, by its own name.",
            "metric",
        )
    )
    steps: Summary = msgspec.field(
        default_factory=lambda: Summary(
            _PREFIX + "step_seconds", "Time spent in each step.", "step"
        )
    )
    produce: Histogram = msgspec.field(
        default_factory=lambda: Histogram(
            _PREFIX + "produce_seconds", "Time until Kafka acknowledged a request's messages."
        )
    )
    spool_messages: Gauge = msgspec.field(
        default_factory=lambda: Gauge(_PREFIX + "spool_messages", "Messages that wait for Kafka.")
    )
    spool_bytes: Gauge = msgspec.field(
        default_factory=lambda: Gauge(_PREFIX + "spool_bytes", "Their size.")
    )
    spool_oldest_seconds: Gauge = msgspec.field(
        default_factory=lambda: Gauge(
            _PREFIX + "spool_oldest_seconds", "How long the oldest has waited.", "largest"
        )
    )
    spool_broken_files: Gauge = msgspec.field(
        default_factory=lambda: Gauge(
            _PREFIX + "spool_broken_files", "Broken spool files that nobody has deleted.", "largest"
        )
    )
    spooled: Counter = msgspec.field(
        default_factory=lambda: _counter(
            "spool_events_total",
            "Messages: spooled, drained, expired, unwritable, broken, and of broken files"
            " salvaged, lost; times: full, error.",
            "what",
        )
    )

    def refused(self, reason: str, status: int) -> None:
        """Count a request that is refused before it has a route."""
        self.requests.add(("none", str(status)))
        self.refusals.add((reason,))


def merged(parts: Iterable[Metrics]) -> Metrics:
    """The sums over several processes."""
    total = Metrics()
    for part in parts:
        for name in Metrics.__struct_fields__:
            ours, theirs = getattr(total, name), getattr(part, name)
            if isinstance(ours, Counter):
                for labels, value in theirs.values.items():
                    ours.add(labels, value)
            elif isinstance(ours, Summary):
                for label, (count, seconds) in theirs.values.items():
                    ours.observe(label, seconds, count)
            elif isinstance(ours, Gauge):
                ours.value = (
                    ours.value + theirs.value
                    if ours.takes == "sum"
                    else max(ours.value, theirs.value)
                )
            elif theirs.counts:
                pairs = zip(ours.counts or [0] * len(theirs.counts), theirs.counts, strict=True)
                ours.counts = [one + other for one, other in pairs]
                ours.total_s += theirs.total_s
    return total


def ended(metrics: Metrics) -> Metrics:
    """What stays of a process that has ended: its gauges fall to nothing."""
    for name in Metrics.__struct_fields__:
        metric = getattr(metrics, name)
        if isinstance(metric, Gauge):
            metric.value = 0
    return metrics


def render(metrics: Metrics) -> str:
    """The metrics as Prometheus reads them."""
    lines: list[str] = []
    for name in Metrics.__struct_fields__:
        metric = getattr(metrics, name)
        kind, samples = _SAMPLES[type(metric)]
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {kind}"]
        lines += samples(metric)
    return "\n".join([*lines, ""])


def counter_text(counter: Counter) -> str:
    """One counter as Prometheus reads it."""
    head = [f"# HELP {counter.name} {counter.help}", f"# TYPE {counter.name} counter"]
    return "\n".join([*head, *_counter_lines(counter), ""])


def _counter_lines(counter: Counter) -> list[str]:
    if not counter.label_names:
        return [f"{counter.name} {counter.values.get((), 0):.10g}"]
    return [
        f"{counter.name}{{{_labels(counter.label_names, labels)}}} {value:.10g}"
        for labels, value in sorted(counter.values.items())
    ]


def _summary_lines(summary: Summary) -> list[str]:
    lines = []
    for label, (count, seconds) in sorted(summary.values.items()):
        labels = _labels((summary.label_name,), (label,))
        lines.append(f"{summary.name}_sum{{{labels}}} {seconds:.10g}")
        lines.append(f"{summary.name}_count{{{labels}}} {count:.10g}")
    return lines


def _histogram_lines(histogram: Histogram) -> list[str]:
    counts = histogram.counts or [0] * (len(histogram.bounds_s) + 1)
    lines = []
    below = 0
    for bound, count in zip(
        [*(f"{one:g}" for one in histogram.bounds_s), "+Inf"], counts, strict=True
    ):
        below += count
        lines.append(f'{histogram.name}_bucket{{le="{bound}"}} {below}')
    return [
        *lines,
        f"{histogram.name}_sum {histogram.total_s:.10g}",
        f"{histogram.name}_count {below}",
    ]


def _gauge_lines(gauge: Gauge) -> list[str]:
    return [f"{gauge.name} {gauge.value:.10g}"]


def _labels(names: Labels, values: Labels) -> str:
    return ",".join(
        f'{name}="{value}"' for name, value in zip(names, map(_escaped, values), strict=True)
    )


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


_SAMPLES: dict[type, tuple[str, Callable[[Any], list[str]]]] = {
    Counter: ("counter", _counter_lines),
    Summary: ("summary", _summary_lines),
    Histogram: ("histogram", _histogram_lines),
    Gauge: ("gauge", _gauge_lines),
}
"""How each kind is called in the text format, and its lines."""
