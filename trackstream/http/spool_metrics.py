"""What the spool tells of itself, among the collector's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackstream.http.metrics import Metrics
    from trackstream.storage.spool import SpoolState

__all__ = ["show_spool"]


def show_spool(metrics: Metrics, state: SpoolState, *, now_ms: int) -> None:
    """Write the state into the metrics, in the place of what they showed before."""
    metrics.spool_messages.value = state.messages
    metrics.spool_bytes.value = state.size_bytes
    oldest_at_ms = now_ms if state.oldest_at_ms is None else state.oldest_at_ms
    metrics.spool_oldest_seconds.value = max(0, now_ms - oldest_at_ms) / 1000
    metrics.spooled.values = {
        ("spooled",): state.spooled,
        ("drained",): state.drained,
        ("expired",): state.expired,
        ("unwritable",): state.unwritable,
        ("broken",): state.broken,
        ("full",): state.full,
        ("error",): state.errors,
        ("salvaged",): state.salvaged,
        ("lost",): state.lost,
    }
    metrics.spool_broken_files.value = state.broken_files
