"""`trackstream simulate`."""

from __future__ import annotations

from pathlib import Path

import click

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
@json_option
def simulate(
    users: int,
    seed: int,
    rate: float | None,
    run: str | None,
    user_agents: Path | None,
    patience_s: float,
    *,
    as_json: bool,
) -> None:
    """Play made-up people's journeys, and compare the attributions with what is true.

    They see ads, click, install, come back and buy; some came by themselves, some clicked too long
    ago or too late, some send everything twice. All goes over HTTP to the running collector, but
    for clicks of the past, which are written to the log. Then waits for the attributions in
    PostgreSQL. Exit code 1 if one of them is not as it should be.
    """
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
    journeys, different = asyncio.run(simulated(settings_beside(), plan))
    show(compared(journeys, different), as_json=as_json, columns=_COLUMNS, empty="")
    if different:
        lines = [
            f"{one.kind}: {one.conversion_id or one.event_id}: expected {one.expected}, "
            f"found {one.found}"
            for one in different[:_SHOWN]
        ]
        shown = next((one.conversion_id for one in different if one.conversion_id), None)
        hint = [f"see why: trackstream explain {shown}"] if shown else []
        raise Problem(f"{len(different)} are not as expected", *lines, *hint)
