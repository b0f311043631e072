"""`trackstream retention`."""

from __future__ import annotations

import click

from trackstream.cli.base import example
from trackstream.cli.output import json_option, show

__all__ = ["retention"]


@click.group(short_help="Remove from PostgreSQL what is kept for too long.")
def retention() -> None:
    """Remove from PostgreSQL what is kept for too long."""


@retention.command(
    epilog=example(
        "TRACKSTREAM_RETENTION_EVENTS_DAYS=400 trackstream retention run --dry-run",
        "TRACKSTREAM_RETENTION_EVENTS_DAYS=400 trackstream retention run",
    )
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@json_option
def run(*, dry_run: bool, as_json: bool) -> None:
    """Remove what arrived longer ago than its TRACKSTREAM_RETENTION_…_DAYS; print what has gone.

    Days count from arrival: events of 2015 that were imported today are a day old tomorrow. A day
    of events of which nothing is to stay is dropped as a whole. Kinds whose setting is 0, the
    default, are kept. Safe beside running writers: what they hold on to stays until the next run.

    Where events have too many partitions, the days of old years are merged.
    """
    from datetime import UTC, datetime, timedelta

    import msgspec

    from trackstream.cli.running import needed, settings_beside
    from trackstream.storage.retention import days_kept
    from trackstream.storage.retention import run as remove

    settings = settings_beside()
    (url,) = needed(settings, "postgres_url")
    now = datetime.now(UTC)
    kept = days_kept(settings)
    before = {kind: now - timedelta(days=days) if days else None for kind, days in kept.items()}
    rows = [msgspec.structs.asdict(one) for one in remove(url, before, dry_run=dry_run)]
    show(
        rows,
        as_json=as_json,
        columns=["kind", "table", "rows", "action"],
        empty="Nothing is too old."
        if any(kept.values())
        else "Everything is kept: no TRACKSTREAM_RETENTION_…_DAYS is set.",
    )
    if dry_run and rows and not as_json:
        click.echo("Nothing was removed: this is what would be.", err=True)
