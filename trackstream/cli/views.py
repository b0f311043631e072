"""`trackstream views`."""

from __future__ import annotations

import click

from trackstream.cli.base import example
from trackstream.cli.output import json_option, show

__all__ = ["views"]


@click.group(short_help="Refresh PostgreSQL's materialised views.")
def views() -> None:
    """Refresh PostgreSQL's materialised views: campaigns, credits, sign-ups, retention."""


@views.command(epilog=example("trackstream views refresh", "trackstream views refresh --json"))
@json_option
def refresh(*, as_json: bool) -> None:
    """Bring the materialised views up to what the tables say now; they can be read meanwhile.

    The warehouse writer does so every TRACKSTREAM_VIEWS_REFRESH_S seconds.
    """
    import msgspec

    from trackstream.cli.running import needed, settings_beside
    from trackstream.storage.views import refresh as run

    (url,) = needed(settings_beside(), "postgres_url")
    rows = [msgspec.structs.asdict(one) for one in run(url)]
    show(rows, as_json=as_json, columns=["view", "rows", "took_ms"], empty="")
