"""`trackstream rejected`: what was refused, read and, after a fix, sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from trackstream.cli.base import Problem, example
from trackstream.cli.database import database
from trackstream.cli.moments import MOMENT
from trackstream.cli.output import harmless, json_option, moment, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.storage.rejections import Kept, Wanted

__all__ = ["rejected"]

_Command = TypeVar("_Command", bound="Callable[..., Any]")
_STAGES = ("collector", "enrich", "match", "attribute", "warehouse")
_COLUMNS = ["rejected_id", "received_at", "app_id", "stage", "reasons", "replayed", "detail"]


@click.group(short_help="Look at what was refused, and send it again.")
def rejected() -> None:
    """Look at what was refused, and send it again once the cause is gone.

    Whatever a stage refuses is on the topic rejected with its original and the reasons; the
    warehouse keeps it in the table of this name.
    """


def _filters(command: _Command) -> _Command:
    for option in (
        click.option(
            "--since",
            "since_ms",
            type=MOMENT,
            help="Refused since then; in UTC without an offset.",
        ),
        click.option("--stage", type=click.Choice(_STAGES), help="Refused by this stage."),
        click.option("--reason", help="With this reason, such as missing_field."),
        click.option("--app", "app_id", help="Of this app."),
    ):
        command = option(command)
    return command


@rejected.command(
    "list",
    short_help="List what was refused, newest first.",
    epilog=example(
        "trackstream rejected list --reason missing_field --since 2025-07-10",
        "trackstream rejected list --stage enrich --waiting --json",
    ),
)
@_filters
@click.option("--waiting", is_flag=True, help="Only what was not replayed yet, and can be.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@json_option
def list_(*, waiting: bool, limit: int, as_json: bool, **filters: Any) -> None:
    """List what was refused, newest first, with all reasons."""
    from trackstream.storage.rejections import listed

    robots = not waiting or filters["reason"] == "bot"
    with database() as (engine, _):
        kept = listed(engine, _wanted(waiting=waiting, robots=robots, **filters), limit=limit)
    rows = [_row(one) for one in kept]
    show(rows, as_json=as_json, columns=_COLUMNS, empty="Nothing such was refused.")


@rejected.command(
    "show",
    short_help="Print one with its original.",
    epilog=example("trackstream rejected show 0190a8e5-6b1c-7c3e-9f42-0a1b2c3d4e5f"),
)
@click.argument("rejected_id")
@json_option
def show_one(rejected_id: str, *, as_json: bool) -> None:
    """Print what was refused under this id, its original included.

    JSON and our own records are laid out to be read; what is neither is printed in hex.
    """
    from trackstream.cli.rejected_payload import readable
    from trackstream.storage.rejections import found

    with database() as (engine, _):
        kept, payload = found(engine, rejected_id)
    form, text = readable(payload)
    row = {**_row(kept), "payload_is": form, "payload": text}
    if as_json:
        show([row], as_json=True, columns=[], empty="")
        return
    del row["payload"]
    for name, value in row.items():
        if value not in (None, ""):
            told = ", ".join(value) if isinstance(value, list) else value
            click.echo(f"{name + ':':15} {harmless(str(told))}")
    click.echo(f"\n{harmless(text)}")


@rejected.command(
    short_help="Send again what was refused.",
    epilog=example(
        "trackstream rejected replay --reason unknown_event --app shop",
        "trackstream rejected replay 0190a8e5-6b1c-7c3e-9f42-0a1b2c3d4e5f --yes",
    ),
)
@click.argument("rejected_ids", nargs=-1)
@_filters
@click.option("--again", is_flag=True, help="Also what was replayed before.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=10_000, show_default=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def replay(
    rejected_ids: tuple[str, ...],
    *,
    again: bool,
    limit: int,
    yes: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Send what was refused again, in the order in which it came, and note what came of it.

    What the collector refused is posted to it, signed by the key that is configured, which has to
    be one of the same app; what a later stage refused goes back to the topic that it came from.
    To repeat this is harmless: events keep their ids, and those that had none get ids made of the
    rejection's. What is refused once more is a new rejection. Clicks and impressions of robots
    (bot) are left out, and left if they are asked for: there is nothing to send again.

    Exits with 1 if something was refused again or could not be sent.
    """
    import asyncio

    from trackstream.cli.rejected_replay import run
    from trackstream.storage.rejections import found, listed

    if rejected_ids and any(value is not None for value in filters.values()):
        raise click.UsageError("name rejections, or say which by options, not both")
    with database() as (engine, settings):
        if rejected_ids:
            kept = [found(engine, one)[0] for one in dict.fromkeys(rejected_ids)]
            kept = [one for one in kept if again or one.replayed_at_ms is None]
        else:
            wanted = _wanted(waiting=not again, robots=filters["reason"] == "bot", **filters)
            kept = listed(engine, wanted, limit=limit, oldest_first=True)
        if not kept:
            click.echo("Nothing such waits to be replayed.", err=True)
        elif not yes:
            click.confirm(f"Send {len(kept)} again?", abort=True, err=True)
        totals = asyncio.run(run(kept, engine, settings))
    rows = [{"result": name, "count": count} for name, count in totals.counts.items()]
    show(rows, as_json=as_json, columns=["result", "count"], empty="Nothing was sent.")
    for problem in totals.problems:
        click.echo(f"trackstream: {problem}", err=True)
    if totals.stopped:
        raise Problem(totals.stopped, "run the same command again to go on")
    if totals.counts.keys() & {"partly", "refused", "left"}:
        raise click.exceptions.Exit(1)


def _wanted(
    *,
    app_id: str | None,
    reason: str | None,
    stage: str | None,
    since_ms: int | None,
    waiting: bool,
    robots: bool,
) -> Wanted:
    from trackstream.core.reasons import Reason
    from trackstream.storage.rejections import Wanted

    if reason is not None and reason not in list(Reason):
        raise click.UsageError(f"{reason} is no reason; they are: {', '.join(Reason)}")
    return Wanted(
        app_id=app_id,
        reason=reason,
        stage=stage,
        since_ms=since_ms,
        waiting=waiting,
        robots=robots,
    )


def _row(kept: Kept) -> dict[str, Any]:
    at_ms = kept.replayed_at_ms
    return {
        "rejected_id": kept.rejected_id,
        "received_at": moment(kept.received_at_ms),
        "app_id": kept.app_id,
        "stage": kept.stage,
        "reasons": kept.reasons,
        "detail": kept.detail,
        "replayed": None if at_ms is None else f"{kept.replay_result} {moment(at_ms)}",
        "origin": kept.origin,
        "key": kept.key,
        "ip": kept.ip,
        "user_agent": kept.user_agent,
        "content_type": kept.content_type,
        "version": kept.version,
        "payload_bytes": kept.payload_bytes,
    }
