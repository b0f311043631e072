"""`trackstream archive`: every event as a row of Parquet files."""

from __future__ import annotations

import click

from trackstream.cli.base import Problem, example
from trackstream.cli.output import json_option, show

__all__ = ["ARCHIVE_READY", "archive", "check_extra"]

ARCHIVE_READY = "The archive writer has its partitions."
"""Printed when it has them, which is when it is of use."""

_EXTRA = {"fsspec", "pyarrow"}
_COLUMNS = [
    *("topic", "partition", "first_offset", "last_offset", "rows", "unreadable", "repeats"),
    *("unfinished", "problems"),
]


@click.group()
def archive() -> None:
    """Keep every event as a row of Parquet files, in a directory or an object store."""


@archive.command(
    epilog=example(
        "trackstream archive run",
        "TRACKSTREAM_KAFKA_URL=kafka://host:9092 TRACKSTREAM_ARCHIVE_URL=s3://bucket/events \\",
        "    trackstream archive run",
    )
)
def run() -> None:
    """Run one archive writer, until Ctrl-C: writes the topic `events` to Parquet files.

    There is a file for each app, day and range of offsets, and every message is in one of them
    once, whatever is killed when; of an event that comes again in a range the first is kept. More
    of these processes share the partitions.
    """
    from trackstream.cli.running import needed, settings_beside
    from trackstream.cli.serving import serve_until_told

    check_extra()
    from trackstream.archive import run as serve

    settings = settings_beside()
    needed(settings, "kafka_url")
    serve_until_told(serve, settings, ready=ARCHIVE_READY)


@archive.command(
    epilog=example(
        "trackstream archive verify",
        "TRACKSTREAM_ARCHIVE_URL=s3://bucket/events trackstream archive verify --json",
    )
)
@json_option
def verify(*, as_json: bool) -> None:
    """Count the rows of every file against the offsets that the manifest says are in it.

    Needs the archive alone, and reads one column of all of it. Exits with 1 if a file or a row is
    missing, or is there and should not be, or if there is no archive. A range that is being written
    is no problem. The archive is that of `TRACKSTREAM_ARCHIVE_URL`, else the one that a running
    `trackstream up` writes, else `archive` in the data directory.
    """
    import msgspec

    from trackstream.cli.running import settings_beside

    check_extra()
    from trackstream.archive import open_place
    from trackstream.archive import verify as verified
    from trackstream.archive.consumer import url_of

    where = url_of(settings_beside())
    found, strangers = verified(open_place(where))
    if not found and not strangers:
        raise Problem(
            f"{where} is no archive: nothing was ever archived there; TRACKSTREAM_ARCHIVE_URL says "
            "where else to look"
        )
    rows = [msgspec.structs.asdict(one) for one in found]
    show(rows, as_json=as_json, columns=_COLUMNS, empty=f"{where} has no manifest.")
    problems = [
        *(f"{one.topic}-{one.partition}: {problem}" for one in found for problem in one.problems),
        *strangers,
    ]
    if problems:
        raise Problem(*problems)


def check_extra() -> None:
    """See that what writes Parquet files is installed.

    Raises:
        Problem: it is not; the message says what to install.
    """
    import importlib.util

    missing = sorted(name for name in _EXTRA if importlib.util.find_spec(name) is None)
    if missing:
        raise Problem(f"{', '.join(missing)} is not installed: pip install 'trackstream[archive]'")
