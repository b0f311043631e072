"""`trackstream up`."""

from __future__ import annotations

import click

from trackstream.cli.base import example

__all__ = ["up"]


@click.command(
    epilog=example(
        "trackstream up",
        "TRACKSTREAM_DATA_DIR=try TRACKSTREAM_COLLECTOR_PORT=0 trackstream up --json",
        "TRACKSTREAM_ARCHIVE_URL=s3://bucket/events trackstream up",
    )
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one line of JSON when ready, and nothing else."
)
def up(*, as_json: bool) -> None:
    """Run the whole service on this machine, until Ctrl-C.

    Starts what is not configured by its URL (a Kafka broker, PostgreSQL, Valkey), makes topics and
    tables, an app with its keys and a link to click, and starts the collector, a worker and the
    warehouse writer; with TRACKSTREAM_ARCHIVE_URL (a directory, or an object store's URL) also the
    writer of Parquet files, see `trackstream archive`. Everything is kept in the data directory and
    is there again at the next start. Then prints where everything is, and each attribution as it is
    made.
    """
    from trackstream.cli.up.command import run
    from trackstream.settings import Settings

    run(Settings.load(), as_json=as_json)
