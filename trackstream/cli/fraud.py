"""`trackstream fraud`: what the rules have rejected, and sources that no person stands behind."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from trackstream.cli.base import Problem, example
from trackstream.cli.database import database
from trackstream.cli.output import json_option, moment, show
from trackstream.cli.period import days, period_options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Engine

    from trackstream.core.flooding import Judged

__all__ = ["fraud"]

_app = click.option("--app", "app_id", help="Whose; else TRACKSTREAM_APP_ID.")
_SOURCE_COLUMNS = [
    *("source", "installs", "median", "> 24 h", "far half", "distance", "p", "verdict", "marked"),
]


@contextmanager
def _opened(app_id: str | None) -> Iterator[tuple[Engine, str]]:
    with database() as (engine, settings):
        yield engine, app_id or settings.app_id


@click.group()
def fraud() -> None:
    """See what the fraud rules have done, and find sources that flood."""


@fraud.command(
    epilog=example(
        "trackstream fraud sources",
        "trackstream fraud sources --from 2025-06-01 --to 2025-06-30 --json",
        "trackstream fraud sources --mark",
    )
)
@period_options("Clicks", required=False, default="the last 60 days")
@click.option(
    "--min-installs",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Sources with fewer are not judged.",
)
@click.option(
    "--false-share",
    "alpha",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.01,
    show_default=True,
    help="How many of those that are found may be innocent.",
)
@click.option("--mark", "to_mark", is_flag=True, help="Mark those that flood or inject.")
@_app
@json_option
def sources(
    first: datetime | None,
    last: datetime | None,
    min_installs: int,
    alpha: float,
    app_id: str | None,
    *,
    to_mark: bool,
    as_json: bool,
) -> None:
    """Compare each source's times from click to install with those of all others.

    A source is a campaign with a sub-publisher. Installs that come at any time of the window are
    those of people who would have come anyway: click flooding. Installs within seconds are those
    of injected clicks. Sources whose people only take longer are `late`, and no fraud. Counts
    clicks whose window has passed. With --mark the clicks of fraudulent sources get no credit from
    then on; to run every night, say.
    """
    import time
    from datetime import UTC, datetime

    from trackstream.cli.rules import known_models
    from trackstream.core.flooding import Limits, judge
    from trackstream.storage.click_times import read
    from trackstream.storage.fraud_sources import mark, marked_sources
    from trackstream.storage.rules import RulesStore

    begin, end = days(first, last, default_days=60)
    with _opened(app_id) as (engine, whose):
        limits = Limits(min_installs=min_installs, alpha=alpha)
        found = read(engine, whose, begin=begin, end=end, now=datetime.now(UTC), limits=limits)
        judged = judge(found, limits=limits)
        new = mark(engine, whose, judged, at_ms=int(time.time() * 1000)) if to_mark else []
        if to_mark:
            RulesStore(engine, models=known_models()).block_marked_sources(whose)
        marked = set(marked_sources(engine, whose))
    rows = [_figures(one, marked) if as_json else _told(one, marked) for one in judged]
    show(
        rows,
        as_json=as_json,
        columns=_SOURCE_COLUMNS,
        empty="No install of these days has a click of a campaign whose window has passed.",
    )
    if to_mark:
        click.echo(f"{len(new)} newly marked{': ' if new else ''}{', '.join(new)}", err=True)


@fraud.command(
    "list", epilog=example("trackstream fraud list", "trackstream fraud list --all --json")
)
@click.option("--all", "every", is_flag=True, help="Also those that were unmarked.")
@_app
@json_option
def list_(app_id: str | None, *, every: bool, as_json: bool) -> None:
    """List the marked sources, whose clicks get no credit, with the figures that spoke."""
    from trackstream.storage.fraud_sources import listed

    with _opened(app_id) as (engine, whose):
        found = listed(engine, whose)
    rows = [
        {
            "app_id": one.app_id,
            "source": one.source,
            "reason": one.reason,
            "since": moment(one.since_ms),
            "unmarked_at": None if one.unmarked_at_ms is None else moment(one.unmarked_at_ms),
            **one.figures,
        }
        for one in found
        if every or one.unmarked_at_ms is None
    ]
    columns = ["source", "reason", "since", "installs", *(["unmarked_at"] if every else [])]
    show(rows, as_json=as_json, columns=columns, empty="No source is marked.")


@fraud.command(epilog=example("trackstream fraud unmark summer/pub-17"))
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@_app
def unmark(sources: tuple[str, ...], app_id: str | None) -> None:
    """Let a SOURCE, campaign_id/sub_publisher, have credit again.

    It is judged by its clicks from now on: what spoke against it before is forgotten.
    """
    from trackstream.cli.rules import known_models
    from trackstream.storage.fraud_sources import unmark as unmark_them
    from trackstream.storage.rules import RulesStore

    with _opened(app_id) as (engine, whose):
        done = unmark_them(engine, whose, sources)
        RulesStore(engine, models=known_models()).block_marked_sources(whose)
    click.echo(f"{len(done)} unmarked.")
    others = [one for one in sources if one not in done]
    if others:
        raise Problem(*(f"{one} is not marked: `trackstream fraud list`" for one in others))


@fraud.command(
    epilog=example(
        "trackstream fraud report --from 2025-07-01 --to 2025-07-31",
        "trackstream fraud report --from 2025-07-01 --to 2025-07-31 --json",
    )
)
@period_options("Conversions")
@_app
@json_option
def report(first: datetime, last: datetime, app_id: str | None, *, as_json: bool) -> None:
    """Count the clicks and impressions that fraud rules have noticed, by rule and campaign.

    `rejected` lost their credit to the next eligible one; `flagged` were only marked.
    """
    import msgspec

    from trackstream.storage.fraud_report import read

    begin, end = days(first, last)
    with _opened(app_id) as (engine, whose):
        found = read(engine, whose, begin=begin, end=end)
    columns = ["rule", "campaign_id", "rejected", "flagged", "conversions"]
    rows = [msgspec.structs.asdict(one) for one in found]
    show(rows, as_json=as_json, columns=columns, empty="No rule has noticed anything.")


def _figures(one: Judged, marked: set[str]) -> dict[str, Any]:
    import msgspec

    return {**msgspec.structs.asdict(one), "marked": one.source in marked}


def _told(one: Judged, marked: set[str]) -> dict[str, Any]:
    from trackstream.cli.explanation import duration

    p = one.p_injection if one.verdict == "injection" else one.p_flooding
    return {
        "source": one.source,
        "installs": one.installs,
        "median": duration(one.median_ms),
        "> 24 h": f"{one.day_share:.0%}",
        "far half": f"{one.far_share:.0%}",
        "distance": f"{one.distance:.2f}",
        "p": f"{p:.2g}",
        "verdict": one.verdict.replace("_", " "),
        "marked": "yes" if one.source in marked else "",
    }
