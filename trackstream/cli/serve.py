"""`trackstream worker`, `collect` and `warehouse`: the three programs of the service."""

from __future__ import annotations

import click

from trackstream.cli.base import example
from trackstream.startup import check_names

__all__ = ["WAREHOUSE_READY", "collect", "warehouse", "worker"]

WAREHOUSE_READY = "The warehouse writer has its partitions."
"""Printed when it has them, which is when it is of use."""


@click.command(
    short_help="Run one stream worker, until Ctrl-C.",
    epilog=example(
        "TRACKSTREAM_KAFKA_URL=kafka://host:9092 TRACKSTREAM_POSTGRES_URL=postgresql://… \\",
        "    trackstream worker",
        "# One more, beside it on the same machine:",
        "TRACKSTREAM_KAFKA_URL=kafka://host:9092 TRACKSTREAM_POSTGRES_URL=postgresql://… \\",
        "    TRACKSTREAM_DATA_DIR=second TRACKSTREAM_WORKER_PORT=6067 trackstream worker",
    ),
)
def worker() -> None:
    """Run one stream worker, until Ctrl-C: enrichment, sessions, matching, attribution.

    Needs Kafka, and PostgreSQL for the apps' rules and funnels. `faust -A trackstream worker` is
    the same, but for this: it takes them from settings alone, and finds no running `trackstream up`
    by its data directory. More workers share the work, up to the number of partitions; each needs a
    data directory and a port of its own. Its web views are on
    TRACKSTREAM_WORKER_PORT; bound to another address than loopback (TRACKSTREAM_WORKER_HOST) they
    ask for a key. TRACKSTREAM_WORKER_COLLECTS adds the collector to them, without TLS: for
    development and small installations.
    """
    check_names()
    from trackstream.application import run_worker
    from trackstream.cli.running import needed, settings_beside

    settings = settings_beside()
    needed(settings, "kafka_url", "postgres_url")
    run_worker(settings)


@click.command(
    short_help="Run the collector of events and clicks, until Ctrl-C.",
    epilog=example(
        "TRACKSTREAM_KAFKA_URL=kafka://host:9092 TRACKSTREAM_POSTGRES_URL=postgresql://… \\",
        "    TRACKSTREAM_COLLECTOR_HOST=0.0.0.0 TRACKSTREAM_COLLECTOR_PORT=80 \\",
        "    trackstream collect --workers 2",
    ),
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that share the port.",
)
def collect(workers: int) -> None:
    """Run the collector, until Ctrl-C: takes events and clicks over HTTP and writes them to Kafka.

    Needs Kafka, PostgreSQL (for apps, keys and links) and Redis (a cache: without it the collector
    works, too).
    """
    check_names()
    from trackstream.cli.running import needed, settings_beside
    from trackstream.cli.serving import log_to_stderr
    from trackstream.http.server import serve

    settings = settings_beside()
    needed(settings, "kafka_url", "postgres_url")
    log_to_stderr(settings.log_level)
    serve(settings, workers=workers)


@click.command(
    short_help="Run one warehouse writer, until Ctrl-C.",
    epilog=example(
        "TRACKSTREAM_KAFKA_URL=kafka://host:9092 TRACKSTREAM_POSTGRES_URL=postgresql://… \\",
        "    trackstream warehouse",
    ),
)
def warehouse() -> None:
    """Run one warehouse writer, until Ctrl-C: writes the output topics to PostgreSQL's tables.

    Rows and the offsets up to which they were read are written in one transaction, so that each
    counts once whatever happens. More of them share the partitions.
    """
    check_names()
    from trackstream.cli.running import needed, settings_beside
    from trackstream.cli.serving import serve_until_told
    from trackstream.storage.warehouse import run

    settings = settings_beside()
    needed(settings, "kafka_url", "postgres_url")
    serve_until_told(run, settings, ready=WAREHOUSE_READY)
