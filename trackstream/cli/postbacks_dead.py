"""`trackstream postbacks dead` and `resend`: what was given up."""

from __future__ import annotations

import click

from trackstream.cli.base import Problem, example
from trackstream.cli.database import database
from trackstream.cli.output import json_option, moment, show

__all__ = ["dead", "resend"]


@click.command(
    epilog=example(
        "trackstream postbacks dead", "trackstream postbacks dead --destination dst_… --json"
    )
)
@click.option("--destination", "destination_id", help="Only this destination's.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@json_option
def dead(destination_id: str | None, limit: int, *, as_json: bool) -> None:
    """List postbacks that were given up, newest first, with the reason.

    `dead`: the destination did not take it. `unknown`: the request left, and no answer came, or the
    sender died: perhaps it was taken, so it is not sent again by itself.
    """
    from trackstream.postbacks.listing import list_dead

    with database() as (engine, _):
        found = list_dead(engine, destination_id=destination_id, limit=limit)
    rows = [
        {
            "postback_id": one.postback_id,
            "state": one.state,
            "destination_id": one.destination_id,
            "conversion_id": one.conversion_id,
            "revision": one.revision,
            "event": one.event,
            "tries": one.tries,
            "given_up_at": moment(one.given_up_at_ms),
            "reason": one.reason,
            "method": one.method,
            "url": one.url,
        }
        for one in found
    ]
    columns = ["postback_id", "state", "conversion_id", "revision", "given_up_at", "reason"]
    show(rows, as_json=as_json, columns=columns, empty="No postback was given up.")


@click.command(
    epilog=example(
        "trackstream postbacks resend pb_0123456789abcdef0123456789abcd",
        "trackstream postbacks resend --all-dead dst_0123456789abcdef",
    )
)
@click.argument("postback_ids", nargs=-1)
@click.option("--all-dead", "destination_id", help="Every dead one of this destination.")
def resend(postback_ids: tuple[str, ...], destination_id: str | None) -> None:
    """Queue postbacks again that were given up.

    One that is `unknown` has to be named: its destination may then be told twice, and can know it
    by the header webhook-id.
    """
    import time

    from trackstream.postbacks.listing import resend as queue_again

    if bool(postback_ids) == (destination_id is not None):
        raise click.UsageError("name postbacks, or a destination with --all-dead")
    with database() as (engine, _):
        queued = queue_again(
            engine,
            now_ms=int(time.time() * 1000),
            postback_ids=postback_ids,
            destination_id=destination_id,
        )
    others = sorted(set(postback_ids) - set(queued))
    click.echo(f"{len(queued)} queued.")
    if others:
        raise Problem(*(f"{one} was not given up: `trackstream postbacks dead`" for one in others))
