"""`trackstream models`: attribution models over many journeys."""

from __future__ import annotations

from typing import Any

import click

from trackstream.cli.base import example
from trackstream.cli.database import database
from trackstream.cli.output import json_option, moment, show

__all__ = ["models"]

_DAY = click.DateTime(["%Y-%m-%d"])
_SAVED_COLUMNS = [
    *("fitted_at", "model", "source", "days", "event"),
    *("conversions", "value", "currency", "channels", "result_id"),
]
_FITTED = "first|last|linear|position|time_decay|priority|markov|shapley"


@click.group()
def models() -> None:
    """Share conversions among channels: rules, Markov chains, Shapley values, own models."""


@models.command(
    epilog=example(
        "trackstream models fit --paths paths.csv --model markov --order 2",
        "trackstream models fit --from 2025-07-01 --to 2025-07-31 --model shapley --json",
        "",
        "where paths.csv holds journeys, newest touch last:",
        "",
        "path,total_conversions,total_conversion_value,total_null",
        "search > email > search,3,149.97,12",
        "social,0,0,40",
    )
)
@click.option("--paths", metavar="FILE", help="Journeys from a CSV file; - is standard input.")
@click.option("--from", "first", type=_DAY, help="Journeys as recorded: the first day, in UTC.")
@click.option("--to", "last", type=_DAY, help="The last day, included.")
@click.option(
    "--model",
    required=True,
    metavar=_FITTED,
    help="Which one, or the name of an own one; `trackstream models list` explains them.",
)
@click.option(
    "--order", type=click.IntRange(1, 3), help="markov: touches remembered.  [default: 1]"
)
@click.option(
    "--half-life",
    type=click.FloatRange(0, min_open=True),
    metavar="DAYS",
    help="time_decay, priority: after it a touch weighs half.  [default: 7]",
)
@click.option(
    "--parameters", metavar="JSON", help='Other parameters: \'{"weights": {"email": 2}}\'.'
)
@click.option(
    "--samples",
    type=click.IntRange(2, 1_000_000),
    help="shapley: pairs of orders drawn where a journey has over 12 channels.  [default: 2000]",
)
@click.option("--seed", type=int, default=0, help="shapley: of that draw.  [default: 0]")
@click.option("--app", "app_id", help="Whose journeys; else TRACKSTREAM_APP_ID.")
@click.option("--event", help="With --from: only conversions of this event, such as purchase.")
@click.option("--currency", help="With --from: only revenue in this currency.")
@click.option("--output", metavar="FILE", help="Write the result there, too: .json, else CSV.")
@click.option("--save", is_flag=True, help="Keep the result in the table model_results.")
@json_option
def fit(*, as_json: bool, **given: Any) -> None:
    """Fit a model to journeys, and share their conversions and value among channels.

    Journeys come from a file (--paths; as for the R package ChannelAttribution, from which the
    columns have their names) or are those that TrackStream has recorded (--from, --to): the
    touches of each conversion, and the campaign visits of people who did not convert. Markov and
    Shapley learn from both. They need numpy and scipy: the extra trackstream[models].
    """
    from trackstream.cli.model_fitting import Request, run
    from trackstream.cli.model_output import show_result, write_result

    request = Request.checked(**given)
    result, notes = run(request)
    if request.output:
        write_result(result, request.output)
    show_result(result, notes, as_json=as_json)


@models.command(
    "list", epilog=example("trackstream models list", "trackstream models list --saved")
)
@click.option("--saved", is_flag=True, help="List the results that `fit --save` has kept, instead.")
@click.option("--app", "app_id", help="Whose results; else TRACKSTREAM_APP_ID.")
@json_option
def list_(app_id: str | None, *, saved: bool, as_json: bool) -> None:
    """List the models that there are, own ones included, or the results that were kept.

    Own models are functions that installed distributions name under the entry point group
    trackstream.models; one that cannot be used is listed with the reason.
    """
    if saved:
        _show_saved(app_id, as_json=as_json)
        return
    from trackstream.analysis.own_models import load

    own = load()
    rows = [{"model": name, "kind": kind, "what": what} for name, kind, what in _BUILT_IN]
    rows += [{"model": name, "kind": "own", "what": source} for name, source in own.sources.items()]
    show(rows, as_json=as_json, columns=["model", "kind", "what"], empty="")
    for problem in own.problems:
        click.echo(problem, err=True)


def _show_saved(app_id: str | None, *, as_json: bool) -> None:
    from trackstream.storage.model_results import kept
    from trackstream.storage.registered_rows import milliseconds

    with database() as (engine, settings):
        found = kept(engine, app_id or settings.app_id)
    rows = []
    for row in found:
        days = [row.pop("first_day"), row.pop("last_day")]
        rows.append(
            {
                **row,
                "fitted_at": moment(milliseconds(row["fitted_at"])),
                "days": " to ".join(str(day) for day in days if day),
                "conversions": float(row["conversions"]),
                "value": float(row["value"]),
            }
        )
    show(
        rows,
        as_json=as_json,
        columns=_SAVED_COLUMNS,
        empty="Nothing was kept yet: `trackstream models fit --save` does it.",
    )


_BUILT_IN = [
    ("first", "rule", "All to the first touch"),
    ("last", "rule", "All to the last touch"),
    ("linear", "rule", "The same to each touch"),
    ("position", "rule", "40% to the first, 40% to the last, 20% to those between"),
    ("time_decay", "rule", "Half as much for every half-life before the conversion (7 days)"),
    ("priority", "rule", "By the channel's weight times recency"),
    ("markov", "learnt", "By what would be lost without the channel, in a Markov chain"),
    ("shapley", "learnt", "By what the channel adds to the conversion rate of others"),
]
