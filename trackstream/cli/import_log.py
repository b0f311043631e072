"""`trackstream import`: what happened before TrackStream was there, posted as events."""

from __future__ import annotations

import click

from trackstream.cli.base import Problem, example
from trackstream.cli.output import json_option

__all__ = ["import_"]


@click.group("import")
def import_() -> None:
    """Bring in what other systems have recorded."""


@import_.command(
    "access-log",
    epilog=example(
        "trackstream import access-log /var/log/nginx/access.log",
        "zcat access.log.*.gz | trackstream import access-log - --site https://example.com",
    ),
)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--url", help="The collector, if not TRACKSTREAM_COLLECTOR_URL.")
@click.option(
    "--site", default="", help="Put before each path, for page addresses as visitors see them."
)
@click.option(
    "--batch",
    type=click.IntRange(1, 1000),
    default=500,
    show_default=True,
    help="Events in one request.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Requests at the same time.",
)
@json_option
def access_log(
    file: str, url: str | None, site: str, batch: int, concurrency: int, *, as_json: bool
) -> None:
    """Post each request of a web server's log as a page view, at its own time.

    FILE is in combined log format (Apache, nginx), may end in .gz, and is - for standard input.
    A visitor is an address with a user agent. A line that is malformed is shown with its number,
    and left out. An event's id comes from its line and the line's number: importing a file again,
    or once more after it has grown, counts every line once.
    """
    import asyncio
    from pathlib import Path

    from trackstream.cli.importing import Plan, run
    from trackstream.cli.output import show
    from trackstream.cli.running import needed, settings_beside

    if file != "-" and (Path(file).is_dir() or not Path(file).exists()):
        raise Problem(f"{file} is not a file that can be read")
    settings = settings_beside()
    if url is None:
        (url,) = needed(settings, "collector_url")
    key_id, secret = needed(settings, "key_id", "secret")
    plan = Plan(
        file=file,
        url=url,
        key_id=key_id,
        secret=secret,
        site=site,
        batch=batch,
        concurrency=concurrency,
        max_body_bytes=settings.max_body_bytes,
    )
    totals = asyncio.run(run(plan))
    row = totals.row()
    show([row], as_json=as_json, columns=list(row), empty="")
    if totals.refused:
        raise Problem(f"{totals.refused} events were refused")
