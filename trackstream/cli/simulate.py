"""`trackstream simulate`."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from trackstream.cli.base import Problem, example
from trackstream.cli.output import json_option, show

__all__ = ["simulate"]

_SHOWN = 5
_COLUMNS = ["journey", "what", "users", "expected", "as expected", "wrong", "missing"]


@click.command(
    short_help="Play made-up people's journeys, and check what comes of them.",
    epilog=example(
        "trackstream simulate --users 500 --seed 7",
        "trackstream simulate --users 5000 --rate 50 --user-agents agents.txt",
        "trackstream simulate --ground-truth",
    ),
)
@click.option(
    "--users",
    type=click.IntRange(1, 50_000),
    default=100,
    show_default=True,
    help="How many people.",
)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed, the same lives."
)
@click.option(
    "--rate", type=click.FloatRange(0.01), help="People that begin in a second; else all."
)
@click.option(
    "--run", help="What all ids begin with; else made anew, so that runs do not meet each other."
)
@click.option(
    "--user-agents",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Browsers to choose from, one a line, instead of those that are shipped.",
)
@click.option(
    "--wait",
    "patience_s",
    type=click.FloatRange(0.0),
    default=90.0,
    show_default=True,
    help="Seconds to wait for the outcomes.",
)
@click.option(
    "--ground-truth",
    is_flag=True,
    help="Measure how right the decisions are, and how much fraud is seen, without the service.",
)
@click.option(
    "--journeys",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    help="How many journeys, with --ground-truth.",
)
@json_option
@click.pass_context
def simulate(
    context: click.Context,
    users: int,
    seed: int,
    rate: float | None,
    run: str | None,
    user_agents: Path | None,
    patience_s: float,
    journeys: int,
    *,
    ground_truth: bool,
    as_json: bool,
) -> None:
    """Play made-up people's journeys, and compare the attributions with what is true.

    They see ads, click, install, come back and buy; some came by themselves, some clicked too long
    ago or too late, some send everything twice. All goes over HTTP to the running collector, but
    for clicks of the past, which are written to the log. Then waits for the attributions in
    PostgreSQL. Exit code 1 if one of them is not as it should be.

    With --ground-truth the journeys are weeks long: people with several devices, hundreds behind
    one address, reinstalls, re-engagements, and fraud of every kind. They go through the same rules
    as in the service, in this process, out of order and in part twice. Printed is how many are
    decided rightly, and the precision and recall of probabilistic matching and of each fraud rule.
    Exit code 1 if a deterministic match is wrong, or a legitimate touch is rejected.
    """
    _refuse_mixture(context, ground_truth=ground_truth)
    if ground_truth:
        _measure(journeys, seed, as_json=as_json)
        return
    import asyncio

    from trackstream.cli.running import settings_beside
    from trackstream.cli.simulation.outcomes import compared
    from trackstream.cli.simulation.run import Plan, simulated

    plan = Plan(
        users=users,
        seed=seed,
        rate=rate,
        run=run,
        user_agents=user_agents,
        patience_s=patience_s,
    )
    played, different = asyncio.run(simulated(settings_beside(), plan))
    show(compared(played, different), as_json=as_json, columns=_COLUMNS, empty="")
    if different:
        lines = [
            f"{one.kind}: {one.conversion_id or one.event_id}: expected {one.expected}, "
            f"found {one.found}"
            for one in different[:_SHOWN]
        ]
        shown = next((one.conversion_id for one in different if one.conversion_id), None)
        hint = [f"see why: trackstream explain {shown}"] if shown else []
        raise Problem(f"{len(different)} are not as expected", *lines, *hint)


def _measure(journeys: int, seed: int, *, as_json: bool) -> None:
    from trackstream.cli.ground_truth.run import measured
    from trackstream.cli.ground_truth.score import COLUMNS

    result = measured(journeys, seed, say=lambda line: click.echo(line, err=True))
    show(result.rows, as_json=as_json, columns=COLUMNS, empty="")
    if result.broken:
        raise Problem(f"{len(result.broken)} are not as they must be", *result.broken[:_SHOWN])


def _refuse_mixture(context: click.Context, *, ground_truth: bool) -> None:
    """Options of the one kind of simulation mean nothing to the other."""
    others = (
        ("users", "rate", "run", "user_agents", "patience_s") if ground_truth else ("journeys",)
    )
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name is not None
        and option.name in others
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        verb = "does not go with" if ground_truth else "needs"
        raise click.UsageError(f"{', '.join(given)} {verb} --ground-truth")
